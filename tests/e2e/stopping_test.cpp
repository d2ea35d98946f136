// SPDX-License-Identifier: MIT
//
// Behaviour "Stopping": no new connection, live ones finish, exit 0 within the drain timeout.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <cstring>

namespace lemonade::test {
namespace {

/// One backend that echoes, the balancer in front of it, and a client that has been served.
struct Served {
  explicit Served(int drain_millis)
      : server(echo()),
        balancer(Config().set("runtime.drain_timeout_millis", drain_millis).backend("a", server.address())),
        client(balancer.connect()) {
    client.send("before");
    REQUIRE(client.receive(6) == "before");
  }

  Server server;
  Balancer balancer;
  Socket client;
};

/// True where nobody serves a new client: refused, or closed without an answer.
bool refuses(const std::string& address) {
  try {
    Socket client = Socket::connect(address);
    client.send("x");
    const End end = client.next(1s);
    return end == End::kReset || end == End::kClosed;
  } catch (const ResetError&) {
    return true;
  }
}

}  // namespace

TEST_CASE("After a signal live connections finish and new ones are refused and it exits with 0", "[stopping]") {
  const int signal = GENERATE(SIGTERM, SIGINT, SIGQUIT);
  CAPTURE(signal);
  Served s(60'000);
  const std::string address = s.balancer.address();
  s.balancer.process().signal(signal);
  const auto line = waitUntilStopping(s.balancer.process());
  CHECK(field(line, "signal") == std::string("SIG") + ::sigabbrev_np(signal));
  CHECK(field(line, "sessions") == "1");
  CHECK(eventually([&] { return refuses(address); }));

  s.client.send("during");
  CHECK(s.client.receive(6) == "during");
  CHECK(s.balancer.process().wait(200ms) == std::nullopt);
  s.client.finishSending();
  CHECK(s.client.receiveAll().empty());
  CHECK(s.balancer.process().wait(5s) == 0);
  CHECK(stops(s.balancer.process()) == 1);
}

TEST_CASE("A client that hangs is closed when the drain timeout is over and the exit code is 0", "[stopping]") {
  Served s(500);
  const Stopwatch watch;
  CHECK(s.balancer.stop() == 0);
  CHECK(watch.elapsed() >= 390ms);  // what is left after four fifths of it is closed little by little
  CHECK(watch.elapsed() < 3s * timeFactor());
  CHECK(s.client.next() != End::kOpen);
  CHECK(field(sessionLine(s.balancer), "reason") == "drain");
}

TEST_CASE("Without sessions it stops at once however long the drain timeout", "[stopping]") {
  Server server(echo());
  Balancer balancer(Config().set("runtime.drain_timeout_millis", 60'000).backend("a", server.address()));
  const Stopwatch watch;
  CHECK(balancer.stop() == 0);
  CHECK(watch.elapsed() < 2s * timeFactor());
}

TEST_CASE("While it drains readyz says 503 and healthz 200", "[stopping]") {
  Served s(60'000);
  REQUIRE(s.balancer.admin("/readyz").status == 200);
  s.balancer.process().signal(SIGTERM);
  waitUntilStopping(s.balancer.process());
  CHECK(eventually([&] { return s.balancer.admin("/readyz").status == 503; }));
  CHECK(s.balancer.admin("/healthz").status == 200);
  CHECK(s.balancer.status()->getValue<std::string>("state") == "draining");
  s.client.close();
  CHECK(s.balancer.process().wait(10s) == 0);
}

TEST_CASE("A client still waiting for its backend does not outlast the drain timeout", "[stopping][relayed]") {
  BlackHole hole;
  Balancer balancer(Config()
                        .set("runtime.drain_timeout_millis", 300)
                        .set("proxy.connect_timeout", "60s")
                        .backend("hole", hole.address()));
  Socket client = balancer.connect();
  REQUIRE(eventually([&] { return balancer.active("hole") == 1; }));
  CHECK(balancer.stop(5s) == 0);
  CHECK(client.next() != End::kOpen);
}

TEST_CASE("accept_timeout bounds the whole stop", "[stopping]") {
  Server server(echo());
  Balancer balancer(Config()
                        .set("runtime.drain_timeout_millis", 60'000)
                        .set("runtime.background_timeout_millis", 60'000)
                        .set("runtime.accept_timeout_millis", 700)
                        .raw("metrics.sinks", "[\"com.example.slow\"]")
                        .raw("metrics.options", "{\"com.example.slow\" = {delay = \"1h\"}}")
                        .set("metrics.interval", "100ms")
                        .backend("a", server.address()));
  Socket client = balancer.connect();
  client.send("x");
  REQUIRE(client.receive(1) == "x");
  const Stopwatch watch;
  CHECK(balancer.stop(10s) == 0);
  CHECK(watch.elapsed() < 3s * timeFactor());
}

TEST_CASE("background_timeout bounds the wait for a sink that hangs and the log names it", "[stopping]") {
  Server server(echo());
  Balancer balancer(Config()
                        .set("runtime.background_timeout_millis", 400)
                        .set("metrics.interval", "50ms")
                        .raw("metrics.sinks", "[\"com.example.slow\", \"prometheus\"]")
                        .raw("metrics.options", "{\"com.example.slow\" = {delay = \"1h\"}}")
                        .backend("a", server.address()));
  // A second snapshot is made only after the first was handed over: the sink hangs by then.
  REQUIRE(eventually([&] { return balancer.metric("lemonade_uptime_seconds") > 0.3; }));
  const Stopwatch watch;
  CHECK(balancer.stop(10s) == 0);
  CHECK(watch.elapsed() >= 390ms);
  CHECK(watch.elapsed() < 3s * timeFactor());
  CHECK(balancer.process().countLog("com.example.slow", 1) >= 1);
}

TEST_CASE("A new balancer takes the port over as soon as the old one stopped", "[stopping]") {
  Server server(echo());
  std::string address;
  {
    Balancer first(Config().backend("a", server.address()));
    address = first.address();
    Socket client = first.connect();
    client.send("x");
    REQUIRE(client.receive(1) == "x");
    client.close();
    REQUIRE(first.stop() == 0);
  }
  Balancer second(Config().set("proxy.listen_address", address).backend("a", server.address()));
  Socket client = second.connect();
  client.send("x");
  CHECK(client.receive(1) == "x");
}

}  // namespace lemonade::test
