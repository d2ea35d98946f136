// SPDX-License-Identifier: MIT
//
// A strategy that asks where clients came to is told, by their socket or by their PROXY header.
#include "base/fd.h"
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/server.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>

namespace lemonade::test {
namespace {

/// Three backends, each of which is for the clients of one address.
struct Served {
  Server one{named("one")}, two{named("two")}, unix{named("unix")};

  Config config(const std::string& relay) const {
    return unwatched()
        .set("proxy.relay", relay)
        .set("proxy.listen_address", "0.0.0.0:0")
        .set("strategy.algorithm", "com.example.by_destination")
        .backend("one", one.address(), "options = { serves = \"127.0.0.1\" }")
        .backend("two", two.address(), "options = { serves = \"198.51.100.1\" }")
        .backend("unix", unix.address());
  }
};

std::string aRelay() { return GENERATE(as<std::string>{}, "epoll", "io_uring"); }

/// Whom a client gets that connects to this host's address; empty where it is closed.
std::string askAt(Balancer& balancer, const std::string& host, const std::string& first = "") {
  Socket client = Socket::connect(host + ":" + std::to_string(portOf(balancer.address())));
  try {
    client.send(first);
    return client.receiveLine();
  } catch (const ResetError&) {
    return "";
  }
}

std::string askUnix(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof(name.sun_path) - 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0);
  return Socket(std::move(fd)).receiveLine();
}

}  // namespace

TEST_CASE("A strategy that needs it is told the address that a client connected to", "[destination]") {
  const Served served;
  Balancer balancer(served.config(aRelay()));
  for (int i = 0; i < 3; ++i) CHECK(askAt(balancer, "127.0.0.1") == "one");
  CHECK(askAt(balancer, "127.0.0.2").empty());  // nobody is for those
  CHECK(balancer.metric("lemonade_backend_sessions_total", {"backend=\"one\""}) == 3);
}

TEST_CASE("A strategy that needs it is told the destination of a PROXY header, where there is one", "[destination]") {
  const Served served;
  Balancer balancer(
      served.config(aRelay()).set("proxy.accept_proxy", "v1+v2").raw("proxy.trusted", "[\"127.0.0.0/8\"]"));
  CHECK(askAt(balancer, "127.0.0.1", "PROXY TCP4 203.0.113.7 198.51.100.1 4000 443\r\n") == "two");
  CHECK(askAt(balancer, "127.0.0.2", "PROXY TCP4 203.0.113.7 198.51.100.1 4000 443\r\n") == "two");
  CHECK(askAt(balancer, "127.0.0.1", "PROXY UNKNOWN\r\n") == "one");
}

TEST_CASE("A strategy that needs it is told of clients of a Unix socket", "[destination][unix]") {
  const Served served;
  const TemporaryFolder folder;
  const auto path = (folder.path() / "lb.sock").string();
  Balancer balancer(served.config(aRelay()).toml("[[listeners]]\nname = \"local\"\naddress = \"unix:" + path +
                                                 "\"\npool = \"default\""));
  CHECK(askUnix(path) == "unix");
  CHECK(askAt(balancer, "127.0.0.1") == "one");
}

TEST_CASE("A reload brings a strategy that needs the address, and takes it away again", "[destination][reload]") {
  Server other(named("other"));
  const Served served;
  const auto before = unwatched().set("proxy.listen_address", "0.0.0.0:0").backend("other", other.address());
  Balancer balancer(before);
  CHECK(askAt(balancer, "127.0.0.1") == "other");
  reload(balancer, served.config("auto"));
  CHECK(askAt(balancer, "127.0.0.1") == "one");
  reload(balancer, before);
  CHECK(askAt(balancer, "127.0.0.2") == "other");
}

}  // namespace lemonade::test
