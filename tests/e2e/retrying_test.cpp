// SPDX-License-Identifier: MIT
//
// Clients whose connects fail where no other backend is left: they wait a moment and are tried again.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <poll.h>

#include <catch2/catch.hpp>
#include <list>
#include <thread>
#include <vector>

namespace lemonade::test {
namespace {

double failures(Balancer& balancer, const std::string& id) {
  return balancer.metric("lemonade_backend_connect_failures_total", {"backend=\"" + id + "\""});
}

/// One that pauses for a fifth of a second.
Config quick() { return Config().set("proxy.connect_timeout", "200ms").set("health.fall", 1000); }

/// A client of a balancer that waits since the only backend refused it.
Socket pausing(Balancer& balancer, const std::string& backend) {
  const double before = failures(balancer, backend);
  Socket client = balancer.connect();
  REQUIRE(eventually([&] { return failures(balancer, backend) > before; }));
  return client;
}

/// A backend with a queue of 32 clients of which it takes one each 300 us at most, and greets it.
class Overrun {
 public:
  Overrun() : listener_(listenOn("127.0.0.1:0", 32)), address_(localAddressOf(listener_.get())) {
    thread_ = std::thread([this] { serve(); });
  }
  ~Overrun() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  const std::string& address() const { return address_; }

 private:
  void serve() {
    pollfd entry{listener_.get(), POLLIN, 0};
    while (::poll(&entry, 1, -1) == 1 && (entry.revents & POLLHUP) == 0) {
      Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd) continue;
      try {
        Socket(std::move(fd)).send("a\n");
      } catch (const std::exception&) {
        continue;  // a check, which is over
      }
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  }

  Fd listener_;
  std::string address_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("A client whose only backend refuses is tried again there after a pause", "[connecting][relayed]") {
  Server server(named("a"));
  Balancer balancer(Config().set("health.fall", 1000).backend("a", server.address()));
  server.stop();
  const Stopwatch watch;
  Socket client = pausing(balancer, "a");
  server.restart();
  CHECK(client.receiveLine() == "a");
  CHECK(watch.elapsed() >= 990ms);
  CHECK(failures(balancer, "a") == 1);
  CHECK(balancer.metric("lemonade_proxy_retries_total") == 1);
  client.close();
  CHECK(field(sessionLine(balancer), "attempts") == "2");
}

TEST_CASE("A client whose only backend goes on refusing is closed after its retries", "[connecting][relayed]") {
  RefusingPort dead;
  Balancer balancer(quick().backend("dead", dead.address()));
  const Stopwatch watch;
  CHECK(balancer.connect().next() != End::kOpen);
  CHECK(watch.elapsed() >= 390ms);
  CHECK(watch.elapsed() < 2s * timeFactor());
  CHECK(failures(balancer, "dead") == 3);
  const auto line = sessionLine(balancer);
  CHECK(field(line, "attempts") == "3");
  CHECK(field(line, "reason") == "connect-failed");
}

TEST_CASE("All backends are tried at once before one of them is tried again", "[connecting][relayed]") {
  RefusingPort one, two;
  Balancer balancer(quick().set("proxy.retries", 3).backend("one", one.address()).backend("two", two.address()));
  const Stopwatch watch;
  CHECK(balancer.connect().next() != End::kOpen);
  CHECK(watch.elapsed() >= 190ms);  // one pause between the two rounds
  CHECK(failures(balancer, "one") == 2);
  CHECK(failures(balancer, "two") == 2);
}

TEST_CASE("Clients that overrun the queue of the only backend are all served in the end", "[connecting][relayed]") {
  constexpr int kClients = 150;
  Overrun backend;
  Balancer balancer(Config().set("proxy.connect_timeout", "1s").backend("a", backend.address()));
  const std::string address = balancer.address();
  std::vector<Socket> clients;
  for (int i = 0; i < kClients; ++i) clients.push_back(Socket::connect(address));
  int served = 0;
  for (auto& client : clients) try {
      served += client.receiveLine() == "a" ? 1 : 0;
    } catch (const ResetError&) {
    }
  CHECK(served == kClients);
  CHECK(balancer.metric("lemonade_proxy_retries_total") > 0);
  CHECK(balancer.metric("lemonade_health_ejections_total") == 0);
}

TEST_CASE("A client that pauses holds no place at the backend", "[connecting][relayed]") {
  RefusingPort dead;
  Balancer balancer(Config().backend("dead", dead.address(), "max_connections = 1"));
  Socket client = pausing(balancer, "dead");
  CHECK(eventually([&] { return balancer.active("dead") == 0; }));
  CHECK(client.staysOpen(0ms));
  client.reset();
}

TEST_CASE("A client that resets while it pauses is let go of at once", "[connecting][relayed]") {
  RefusingPort dead;
  Balancer balancer(Config().backend("dead", dead.address()));
  pausing(balancer, "dead").reset();
  CHECK(field(sessionLine(balancer), "reason") == "abandoned");
  CHECK(failures(balancer, "dead") == 1);
}

TEST_CASE("What a client sends and finishes with while it pauses arrives", "[connecting][relayed]") {
  Server server(echo());
  Balancer balancer(quick().set("proxy.connect_timeout", "1s").backend("a", server.address()));
  server.stop();
  Socket client = pausing(balancer, "a");
  client.send("patience");
  client.finishSending();
  server.restart();
  CHECK(client.receiveAll() == "patience");
}

TEST_CASE("A reload that adds a backend serves the clients that pause", "[connecting][relayed]") {
  RefusingPort dead;
  Server good(named("good"));
  const auto with = [&] { return quick().set("proxy.retries", 15).backend("dead", dead.address()); };
  Balancer balancer(with());
  Socket client = pausing(balancer, "dead");
  balancer.folder().write("lemonade.toml", with().backend("good", good.address()).text());
  REQUIRE(httpGet(balancer.adminAddress(), "/api/v1/reload", "POST").status == 200);
  CHECK(client.receiveLine() == "good");
}

TEST_CASE("A stop ends the clients that pause within the drain timeout", "[stopping][relayed]") {
  RefusingPort dead;
  Balancer balancer(
      Config().set("proxy.retries", 15).set("runtime.drain_timeout_millis", 500).backend("dead", dead.address()));
  Socket client = pausing(balancer, "dead");
  CHECK(balancer.stop(5s) == 0);
  CHECK(client.next() != End::kOpen);
}

}  // namespace lemonade::test
