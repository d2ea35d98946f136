// SPDX-License-Identifier: MIT
//
// Descriptors are kept in reserve: at the limit, below it and without any the balancer can be asked, checks and
// reloads.
#include "e2e/misfit.h"
#include "e2e/reloading.h"
#include "support/privilege.h"
#include "support/server.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <iterator>
#include <list>

namespace lemonade::test {
namespace {

/// How many descriptors a balancer with a high limit holds open to give them up in need.
constexpr int kSpare = 24;

/// Under a limit that the balancer may not raise, whoever it runs as.
Arguments held(int limit) {
  const std::string both = std::to_string(limit) + ":" + std::to_string(limit);
  if (!isRoot()) return {"prlimit", "--nofile=" + both};
  return {"setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "prlimit", "--nofile=" + both};
}

rlimit limitOf(pid_t pid) {
  rlimit limit{};
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, nullptr, &limit) == 0);
  return limit;
}

void setLimit(pid_t pid, const rlimit& limit) { REQUIRE(::prlimit(pid, RLIMIT_NOFILE, &limit, nullptr) == 0); }

int openDescriptors(pid_t pid) {
  const std::filesystem::directory_iterator entries("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<int>(std::distance(begin(entries), end(entries)));
}

int served(std::list<Socket>& clients) {
  int count = 0;
  for (auto& client : clients) count += client.next(0ms) == End::kBytes;
  return count;
}

/// Everything that has to work whatever the sessions use: questions, a reload that tries and loads a plugin and opens a
/// listener, and a check that finds a dead backend. Before, the misfit is "none" and backend b is up.
void everythingElseWorks(Balancer& balancer, const Misfit& misfit, const Config& config,
                         std::unique_ptr<Server>& dying) {
  for (const char* path : {"/healthz", "/readyz", "/metrics"}) {
    CAPTURE(path);
    CHECK(balancer.admin(path).status == 200);
  }
  misfit.become("none_but_last");
  write(balancer, Config(config).raw("proxy.listen_address", "[\"127.0.0.1:0\", \"127.0.0.2:0\"]"));
  // A pick that is still under way may take what this one needs; nothing has changed then, and it is asked for again.
  HttpAnswer answer;
  (void)eventually([&] { return (answer = reloadNow(balancer)).status == 200; });
  INFO(answer.body);
  CHECK(answer.body.find("new code, version 1.0.0-none_but_last") != std::string::npos);
  CHECK(answer.status == 200);
  dying.reset();
  CHECK(eventually([&] { return balancer.backend("b")->getValue<std::string>("state") == "down"; }));
  CHECK(balancer.process().countLog("without a preflight") == 0);
}

/// What is said of a configuration where so many descriptors may be open.
Outcome validatedWith(int descriptors, const Config& config) {
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", config.text());
  auto words = held(descriptors);
  for (const auto& word : lemonade({"lb", "--validate", "--config", file})) words.push_back(word);
  return run(words);
}

}  // namespace

TEST_CASE("Sessions are held to what the descriptor limit leaves them and everything else goes on",
          "[limits][relayed]") {
  Server a(named("a"));
  auto b = std::make_unique<Server>(named("b"));
  const Misfit misfit;
  const auto config = misfit.config()
                          .set("health.checker", "tcp")
                          .set("health.interval", "100ms")
                          .set("health.fall", 1)
                          .backend("a", a.address())
                          .backend("b", b->address());
  Balancer balancer(config, {}, held(100));
  REQUIRE(eventually([&] { return balancer.backend("b")->getValue<std::string>("state") == "up"; }));
  const int most = static_cast<int>(balancer.metric("lemonade_proxy_max_connections"));
  CHECK(most >= 15);
  const auto line = balancer.process().waitForLog("proxy.max_connections");
  CHECK(contains(line, "a limit of"));
  CHECK(contains(line, ": " + std::to_string(most) + " are let in at once"));

  std::list<Socket> clients;
  for (int i = 0; i < most + 10; ++i) clients.push_back(balancer.connect());
  REQUIRE(eventually([&] { return served(clients) == most; }));
  CHECK(clients.back().staysOpen(200ms));
  CHECK(served(clients) == most);
  CHECK(balancer.metric("lemonade_proxy_accept_errors_total") == 0);
  everythingElseWorks(balancer, misfit, config, b);
  clients.pop_front();
  // The listener that was added takes one from the sessions.
  const int now = static_cast<int>(balancer.metric("lemonade_proxy_max_connections"));
  CHECK(now >= most - 1);
  CHECK(eventually([&] { return served(clients) >= now; }));
}

TEST_CASE("Validating says what the descriptor limit allows", "[control]") {
  const auto outcome = validatedWith(200, Config().backend("a", "127.0.0.1:1"));
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.err, "proxy.max_connections: warning: 10000 clients at once need a limit of"));
  CHECK(contains(outcome.err, "which is 200 here"));
  CHECK(contains(outcome.err, "LimitNOFILE"));
}

TEST_CASE("Validating judges no descriptor limit by a configuration that is wrong elsewhere", "[control]") {
  const auto outcome = validatedWith(
      200, Config().set("proxy.max_connections", 10).set("proxy.retries", -1).backend("a", "127.0.0.1:1"));
  INFO(outcome.err);
  CHECK(outcome.code == 1);
  CHECK(contains(outcome.err, "proxy.retries"));
  CHECK_FALSE(contains(outcome.err, "clients at once"));
}

TEST_CASE("A descriptor limit below what the process needs for itself serves a client and is said", "[control]") {
  Server server(named("a"));
  const auto config = Config().backend("a", server.address());
  const int own = [&] {
    Balancer balancer(Config(config).set("proxy.max_connections", 1));
    // A start opens and closes some of them behind its last word.
    int open = 0, same = 0;
    CHECK(eventually([&] {
      const int now = openDescriptors(balancer.process().pid());
      same = now == open ? same + 1 : 0;
      open = now;
      return same == 50;
    }));
    return open - kSpare;
  }();
  const int limit = own + 6;
  Balancer balancer(config, {}, held(limit));
  CHECK(balancer.metric("lemonade_proxy_max_connections") == 1);
  CHECK(balancer.ask() == "a");
  write(balancer, Config().set("proxy.retries", 1).backend("a", server.address()));
  // Once the descriptors of the session are free again.
  CHECK(eventually([&] { return requestReload(balancer).status == 200; }));
  // To try a plugin takes more: that is said of the limit and not of the plugin.
  write(balancer, Config().set("strategy.algorithm", "random_two").backend("a", server.address()));
  const auto answer = requestReload(balancer);
  CHECK(answer.status == 422);
  CHECK(contains(answer.body, "the limit of " + std::to_string(limit)));
  CHECK(!contains(answer.body, "plugin random_two"));
}

TEST_CASE("A descriptor limit that is lowered below what is open leaves admin and checks and reloads working",
          "[limits][relayed]") {
  Server a(named("a"));
  auto b = std::make_unique<Server>(named("b"));
  const Misfit misfit;
  const auto config = misfit.config()
                          .set("health.checker", "tcp")
                          .set("health.interval", "100ms")
                          .set("health.fall", 1)
                          .set("proxy.max_connections", 300)
                          .backend("a", a.address())
                          .backend("b", b->address());
  Balancer balancer(config);
  const pid_t pid = balancer.process().pid();
  REQUIRE(eventually([&] { return balancer.backend("b")->getValue<std::string>("state") == "up"; }));
  std::list<Socket> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(balancer.connect());
  REQUIRE(eventually([&] { return served(clients) == 40; }));
  const auto before = limitOf(pid);
  const auto lower = [&](bool for_good) {
    const auto to = static_cast<rlim_t>(openDescriptors(pid)) - 20;
    setLimit(pid, {to, for_good ? to : before.rlim_max});
    balancer.process().waitForLog("the descriptor limit has changed");
  };
  SECTION("until it is raised again") {
    lower(false);
    Socket later = balancer.connect();
    CHECK(later.staysOpen(200ms));
    for (const char* path : {"/healthz", "/readyz", "/metrics"}) CHECK(balancer.admin(path).status == 200);
    b.reset();
    CHECK(eventually([&] { return balancer.backend("b")->getValue<std::string>("state") == "down"; }));
    setLimit(pid, before);
    CHECK(later.receiveLine() == "a");
    CHECK(served(clients) == 40);
  }
  SECTION("also where it cannot be raised again") {
    lower(true);
    everythingElseWorks(balancer, misfit, config, b);
  }
}

TEST_CASE("A plugin that uses every descriptor up leaves those that were spare to everything else", "[limits]") {
  Server a(named("a"));
  auto b = std::make_unique<Server>(named("b"));
  const Misfit misfit("leak_in_pick");
  const auto config = misfit.config()
                          .set("health.checker", "tcp")
                          .set("health.interval", "100ms")
                          .set("health.fall", 1)
                          .backend("a", a.address())
                          .backend("b", b->address());
  Balancer balancer(config, {}, held(400));
  REQUIRE(eventually([&] { return balancer.backend("b")->getValue<std::string>("state") == "up"; }));
  std::list<Socket> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(balancer.connect());
  balancer.process().waitForLog("out of descriptors");
  everythingElseWorks(balancer, misfit, config, b);
  CHECK(eventually([&] { return served(clients) >= 1; }));
}

}  // namespace lemonade::test
