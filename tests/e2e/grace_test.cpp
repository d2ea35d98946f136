// SPDX-License-Identifier: MIT
//
// runtime.grace_millis: at a stop /readyz turns 503 first, and clients are accepted until those in front know.
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "support/facts.h"
#include "support/notify_socket.h"
#include "support/server.h"

#include <catch2/catch.hpp>

#include <fstream>

using namespace std::chrono_literals;

namespace lemonade::test {

namespace {

/// A grace that no test waits for, and one that is soon over.
constexpr int kLong = 50'000, kShort = 400;

Config graceful(int grace_millis, bool supervisor = false) {
  return unwatched()
      .set("runtime.grace_millis", grace_millis)
      .set("runtime.drain_timeout_millis", 60'000)
      .set("runtime.supervisor", supervisor ? "on" : "off");
}

void isAnswered(Socket& client, const std::string& text = "hello") {
  client.send(text);
  CHECK(client.receive(text.size()) == text);
}

std::string awaitGrace(Balancer& balancer, std::size_t from = 0) {
  return balancer.process().waitForLog("clients are accepted for a while", 10s, from);
}

void stopAtOnce(Balancer& balancer) {
  const auto from = balancer.process().logSize();
  balancer.process().signal(SIGTERM);
  awaitGrace(balancer, from);
  balancer.process().signal(SIGTERM);
  CHECK(balancer.process().wait(5s) == 0);
}

}  // namespace

TEST_CASE("In the grace of a stop readyz says 503 and new clients are served", "[grace]") {
  const bool supervisor = GENERATE(false, true);
  CAPTURE(supervisor);
  Server server(echo());
  Balancer balancer(graceful(kLong, supervisor).backend("a", server.address()), kSupervised);
  balancer.process().signal(SIGTERM);
  CHECK(field(awaitGrace(balancer), "grace") == "50.0s");
  CHECK(balancer.admin("/readyz").status == 503);
  CHECK(balancer.admin("/readyz").body == "stopping\n");
  CHECK(balancer.admin("/healthz").status == 200);
  CHECK(balancer.status()->getValue<std::string>("state") == "stopping");
  for (int i = 0; i < 20; ++i) {
    Socket client = balancer.connect();
    isAnswered(client);
  }
  CHECK(balancer.metric("lemonade_proxy_accepted_total") == 20);
  balancer.process().signal(SIGTERM);
  CHECK(balancer.process().wait(5s) == 0);
}

TEST_CASE("When the grace of a stop is over nobody listens and live connections finish", "[grace]") {
  const bool supervisor = GENERATE(false, true);
  CAPTURE(supervisor);
  Server server(echo());
  Balancer balancer(graceful(kShort, supervisor).backend("a", server.address()), kSupervised);
  const auto address = balancer.address();
  Socket client = balancer.connect();
  isAnswered(client);
  const Stopwatch watch;
  balancer.process().signal(SIGTERM);
  balancer.process().waitForLog("the grace is over, no client is accepted any more");
  CHECK(watch.elapsed() >= std::chrono::milliseconds(kShort));
  CHECK(eventually([&] { return isRefused(address); }));
  CHECK(balancer.status()->getValue<std::string>("state") == "draining");
  CHECK(balancer.admin("/readyz").body == "draining\n");
  isAnswered(client);
  client.close();
  CHECK(balancer.process().wait(10s) == 0);
}

TEST_CASE("A second signal in the grace ends at once and closes what is open", "[grace]") {
  const bool supervisor = GENERATE(false, true);
  CAPTURE(supervisor);
  Server server(echo());
  Balancer balancer(graceful(kLong, supervisor).backend("a", server.address()), kSupervised);
  Socket client = balancer.connect();
  isAnswered(client);
  stopAtOnce(balancer);
  CHECK(client.next() != End::kOpen);
  CHECK(field(sessionLine(balancer), "reason") == "drain");
}

TEST_CASE("accept_timeout bounds the grace of a stop, too", "[grace]") {
  Server server(echo());
  Balancer balancer(graceful(60'000).set("runtime.accept_timeout_millis", 700).backend("a", server.address()));
  const Stopwatch watch;
  CHECK(balancer.stop() == 0);
  CHECK(watch.elapsed() >= 600ms);
  CHECK(watch.elapsed() < 3s * timeFactor());
}

TEST_CASE("The time of the drain is what the grace leaves of accept_timeout", "[grace]") {
  Server server(echo());
  Balancer balancer(graceful(kShort).set("runtime.accept_timeout_millis", 1'500).backend("a", server.address()));
  Socket client = balancer.connect();
  isAnswered(client);
  const Stopwatch watch;
  CHECK(balancer.stop() == 0);
  CHECK(watch.elapsed() >= 1'100ms);
  CHECK(watch.elapsed() < 5s * timeFactor());
  CHECK(balancer.process().countLog("the stop is cut short") == 0);
}

TEST_CASE("In the grace nothing is reloaded and checks go on", "[grace]") {
  Server a(echo()), b(echo());
  const auto config = [&] { return graceful(kLong).realChecks(); };
  Balancer balancer(config().backend("a", a.address()).backend("b", b.address()));
  balancer.process().signal(SIGTERM);
  awaitGrace(balancer);
  write(balancer, config().backend("a", a.address()));
  const auto refused = requestReload(balancer);
  CHECK(refused.status == 503);
  CHECK(refused.body == "stopping\n");
  b.stop();
  CHECK(eventually([&] { return balancer.backend("b")->getValue<std::string>("state") == "down"; }));
  Socket client = balancer.connect();
  isAnswered(client);
  balancer.process().signal(SIGTERM);
  CHECK(balancer.process().wait(5s) == 0);
}

TEST_CASE("A reload changes the grace of the next stop", "[grace]") {
  Server server(echo());
  Balancer balancer(graceful(0).backend("a", server.address()));
  CHECK_THAT(reload(balancer, graceful(kLong).backend("a", server.address())),
             Catch::Contains("runtime.grace_millis 0s -> 50s"));
  stopAtOnce(balancer);
}

TEST_CASE("The process before an upgrade has no grace", "[grace]") {
  Server server(echo());
  Balancer balancer(graceful(kLong, true).backend("a", server.address()), kSupervised);
  upgrade(balancer);
  waitUntilStopped(balancer.process());
  CHECK(balancer.process().countLog("clients are accepted for a while") == 0);
  Socket client = balancer.connect();
  isAnswered(client);
  stopAtOnce(balancer);
}

TEST_CASE("An upgrade of a balancer in its grace ends that and cuts nobody", "[grace]") {
  Server server(echo());
  Balancer balancer(graceful(kLong, true).backend("a", server.address()), kSupervised);
  Socket client = balancer.connect();
  isAnswered(client);
  const pid_t first = servingPid(balancer);
  REQUIRE(::kill(first, SIGTERM) == 0);
  awaitGrace(balancer);
  upgrade(balancer);
  isAnswered(client);
  Socket newcomer = balancer.connect();
  isAnswered(newcomer);
  client.close();
  CHECK(eventually([&] { return !isAlive(first); }));
  stopAtOnce(balancer);
}

TEST_CASE("A balancer whose supervisor is killed has no grace, or no more of it", "[grace]") {
  const bool stopping = GENERATE(false, true);
  CAPTURE(stopping);
  Server server(echo());
  TemporaryFolder folder;
  const auto log = (folder.path() / "log").string();
  const auto file = folder.write("lb.toml", graceful(kLong, true).backend("a", server.address()).text());
  Process shell({"bash", "-c", "exec \"$0\" lb --config \"$1\" 2>\"$2\"", lemonade({}).back(), file, log}, kSupervised);
  const auto lines = [&] {
    std::ifstream in(log);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto says = [&](const std::string& text) { return eventually([&] { return contains(lines(), text); }); };
  REQUIRE(says("INFO app: ready"));
  const auto text = lines();
  const auto listening = text.substr(text.find("proxy: listening"));
  const auto address = field(listening.substr(0, listening.find('\n')), "address");
  Socket client = Socket::connect(address);
  isAnswered(client);
  if (stopping) {
    shell.signal(SIGTERM);
    REQUIRE(says("clients are accepted for a while"));
  }
  shell.signal(SIGKILL);
  CHECK(says("the supervisor has died, stopping"));
  CHECK(eventually([&] { return isRefused(address); }));
  isAnswered(client);
  client.close();
  CHECK(says("INFO app: stopped"));
}

TEST_CASE("The service manager hears of a stop when its grace begins, and how long it all takes", "[grace]") {
  NotifySocket manager;
  Server server(echo());
  Balancer balancer(graceful(kLong).set("runtime.accept_timeout_millis", 200'000).backend("a", server.address()),
                    {{"NOTIFY_SOCKET", manager.path()}});
  manager.waitFor("READY=1");
  balancer.process().signal(SIGTERM);
  CHECK_THAT(manager.waitFor("STOPPING=1"), Catch::Contains("EXTEND_TIMEOUT_USEC=205000000"));
  manager.waitFor("STATUS=stopping, clients are still accepted, 0 sessions");
  balancer.process().signal(SIGTERM);
  CHECK(balancer.process().wait(5s) == 0);
}

}  // namespace lemonade::test
