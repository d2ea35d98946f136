// SPDX-License-Identifier: MIT
//
// Three times of a backend, each in a histogram of its own: connecting, answering, and how long sessions last.
#include "support/balancer.h"
#include "support/server.h"

#include <catch2/catch.hpp>
#include <thread>

namespace lemonade::test {
namespace {

double read(Balancer& balancer, const std::string& time, const std::string& part, const std::string& backend) {
  return balancer.metric("lemonade_backend_" + time + "_" + part, {"backend=\"" + backend + "\""});
}

}  // namespace

TEST_CASE("Connecting and answering and the length of a session are three histograms", "[admin]") {
  Server slow([](Socket& client) {
    while (!client.receiveLine().empty()) {
      std::this_thread::sleep_for(50ms);  // what a slow server does, not what the test waits by
      client.send("done\n");
    }
  });
  Balancer balancer(Config().backend("a", slow.address()));
  const auto uptime = [&] { return balancer.metric("lemonade_uptime_seconds"); };
  {
    Socket client = balancer.connect();
    for (int i = 0; i < 3; ++i) {
      client.send("do it\n");
      REQUIRE(client.receiveLine() == "done");
    }
    const double answered = uptime();
    REQUIRE(eventually([&] { return uptime() > answered + 0.5; }));  // a pause of the client is no time of the backend
  }
  REQUIRE(eventually([&] { return read(balancer, "session_duration_seconds", "count", "a") == 1; }));
  CHECK(read(balancer, "connect_seconds", "count", "a") == 1);
  CHECK(read(balancer, "exchange_seconds", "count", "a") == 3);
  const double connecting = read(balancer, "connect_seconds", "sum", "a");
  const double answering = read(balancer, "exchange_seconds", "sum", "a");
  const double lasting = read(balancer, "session_duration_seconds", "sum", "a");
  CHECK(connecting < 0.05);
  CHECK(answering >= 0.15);
  CHECK(lasting >= answering + 0.5);
}

TEST_CASE("A backend that fails has no times, however fast it fails", "[admin]") {
  RefusingPort refusing;
  Server resetting([](Socket& client) {
    (void)client.receiveLine();  // a reset may come before the client's own connect is back
    client.reset();
  });
  Balancer balancer(Config()
                        .set("proxy.retries", 1)
                        .set("ejection.enabled", false)
                        .backend("refuses", refusing.address())
                        .backend("resets", resetting.address()));
  for (int i = 0; i < 6; ++i) {
    Socket client = balancer.connect();
    client.send("hello\n");
    const End end = client.next();
    CHECK((end == End::kReset || end == End::kClosed));
  }
  REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_sessions_total", {"backend=\"resets\""}) == 6; }));
  CHECK(read(balancer, "connect_seconds", "count", "refuses") == 0);
  CHECK(read(balancer, "exchange_seconds", "count", "refuses") == 0);
  CHECK(read(balancer, "exchange_seconds", "count", "resets") == 0);
}

}  // namespace lemonade::test
