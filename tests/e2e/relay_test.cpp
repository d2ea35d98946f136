// SPDX-License-Identifier: MIT
//
// Which relay moves the bytes, and what a worker does where one cannot be had. That they behave alike is for the rest of
// the tests to show, which run over each of them.
#include "support/balancer.h"
#include "support/server.h"

#include <signal.h>

#include <catch2/catch.hpp>

namespace lemonade::test {
namespace {

/// What the log says the relay is.
std::string chosenBy(Balancer& balancer) { return field(balancer.process().waitForLog("proxy: relay chosen"), "relay"); }

bool kernelOffersUring() {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()), {{"LEMONADE_LB_RELAY", "auto"}});
  return chosenBy(balancer) == "io_uring";
}

}  // namespace

TEST_CASE("The relay is chosen by the configuration and works either way", "[relay]") {
  Server server(named("a"));
  for (const std::string relay : {"epoll", "io_uring"}) {
    Balancer balancer(Config().set("proxy.relay", relay).backend("a", server.address()), {{"LEMONADE_LB_RELAY", relay}});
    CHECK(chosenBy(balancer) == (relay == "io_uring" && !kernelOffersUring() ? "epoll" : relay));
    CHECK(balancer.ask() == "a");
  }
}

TEST_CASE("Where the kernel refuses io_uring epoll takes its place and the log says why", "[relay]") {
  Server server(named("a"));
  for (const std::string relay : {"auto", "io_uring"}) {
    Balancer balancer(Config().backend("a", server.address()), {{"LEMONADE_LB_RELAY", relay}},
                      {LEMONADE_WITHOUT_IO_URING});
    const auto line = balancer.process().waitForLog("proxy: relay chosen");
    CHECK(field(line, "relay") == "epoll");
    CHECK(field(line, "reason").find("io_uring_setup") != std::string::npos);
    CHECK((line.find("WARN") != std::string::npos) == (relay == "io_uring"));
    CHECK(balancer.ask() == "a");
  }
}

TEST_CASE("A reload that changes the relay says that it waits for the next start", "[relay]") {
  Server server(named("a"));
  const auto over = [&](const char* relay) { return Config().set("proxy.relay", relay).backend("a", server.address()); };
  Balancer balancer(over("auto"));
  balancer.folder().write("lemonade.toml", over("epoll").text());
  balancer.process().signal(SIGHUP);
  balancer.process().waitForLog("proxy.relay auto -> epoll, from the next start on");
  CHECK(balancer.ask() == "a");
}

}  // namespace lemonade::test
