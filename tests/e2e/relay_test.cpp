// SPDX-License-Identifier: MIT
//
// Which relay moves the bytes, and what a worker does where one cannot be had. That they behave alike is for the rest
// of the tests to show, which run over each of them.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"
#include "support/skip.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <filesystem>

namespace lemonade::test {
namespace {

/// What the log says the relay is.
std::string chosenBy(Balancer& balancer) { return field(relayLine(balancer.process()), "relay"); }

}  // namespace

TEST_CASE("Over epoll is what the configuration asks for, and it works", "[relay]") {
  Server server(named("a"));
  Balancer balancer(Config().set("proxy.relay", "epoll").backend("a", server.address()),
                    {{"LEMONADE_LB_RELAY", "epoll"}});
  CHECK(chosenBy(balancer) == "epoll");
  CHECK(balancer.ask() == "a");
}

TEST_CASE("Over io_uring is what the configuration asks for, and it works", "[relay]") {
  Server server(named("a"));
  for (const std::string wanted : {"io_uring", "auto"}) {
    Balancer balancer(Config().set("proxy.relay", wanted).backend("a", server.address()),
                      {{"LEMONADE_LB_RELAY", wanted}});
    if (const auto line = relayLine(balancer.process()); field(line, "relay") != "io_uring")
      skip(field(line, "reason"));
    CHECK(balancer.ask() == "a");
  }
}

TEST_CASE("A test of the relay over io_uring is skipped where that cannot be had", "[relay]") {
  const auto itself = std::filesystem::read_symlink("/proc/self/exe").string();
  const Arguments command = {LEMONADE_WITHOUT_IO_URING, itself, "Bytes are echoed both ways", "--warn", "NoTests"};
  const auto over_uring = run(command, {{"LEMONADE_TEST_RELAY", "io_uring"}});
  INFO(over_uring.out << over_uring.err);
  CHECK(over_uring.code == kSkippedCode);
  CHECK_THAT(over_uring.out, Catch::Contains("test skipped: this kernel does not let io_uring be used"));
  CHECK(run(command, {{"LEMONADE_TEST_RELAY", "epoll"}}).code == 0);
}

TEST_CASE("Where the kernel refuses io_uring epoll takes its place and the log says why", "[relay]") {
  Server server(named("a"));
  for (const std::string relay : {"auto", "io_uring"}) {
    Balancer balancer(Config().backend("a", server.address()), {{"LEMONADE_LB_RELAY", relay}},
                      {LEMONADE_WITHOUT_IO_URING});
    const auto line = relayLine(balancer.process());
    CHECK(field(line, "relay") == "epoll");
    CHECK(field(line, "reason").find("io_uring_setup") != std::string::npos);
    CHECK((line.find("WARN") != std::string::npos) == (relay == "io_uring"));
    CHECK(balancer.ask() == "a");
  }
}

TEST_CASE("A reload that changes the relay says that it waits for the next start", "[relay]") {
  Server server(named("a"));
  const auto over = [&](const char* relay) {
    return Config().set("proxy.relay", relay).backend("a", server.address());
  };
  Balancer balancer(over("auto"));
  balancer.folder().write("lemonade.toml", over("epoll").text());
  balancer.process().signal(SIGHUP);
  balancer.process().waitForLog("proxy.relay auto -> epoll, from the next start or upgrade on");
  CHECK(balancer.ask() == "a");
}

}  // namespace lemonade::test
