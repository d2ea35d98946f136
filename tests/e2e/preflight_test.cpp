// SPDX-License-Identifier: MIT
//
// New plugins are tried in a process of their own: whatever they do there, the balancer goes on with what it has.
#include "e2e/misfit.h"
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <catch2/catch.hpp>

namespace lemonade::test {

TEST_CASE("A new strategy that misbehaves in preflight is refused by name and the old one serves on", "[preflight]") {
  struct Case {
    const char* misdeed;
    std::vector<std::string> words;
  };
  const Case cases[] = {
      {"crash_in_load", {"crashed with SIGSEGV", "being loaded"}},
      {"crash_in_create", {"crashed with SIGSEGV", "being created"}},
      {"abort_in_create", {"crashed with SIGABRT", "being created"}},
      {"exit_in_create", {"ended its process with code 0", "being created"}},
      {"crash_in_import", {"crashed with SIGSEGV", "taking over the state"}},
      {"refuse_in_import", {"that state is not mine"}},
      {"fail_in_prepare", {"no room for the ring"}},
      {"hang_in_prepare", {"hung while preparing", "LEMONADE_PREFLIGHT"}},
      {"crash_in_pick", {"crashed with SIGSEGV", "picking"}},
      {"throw_in_pick", {"crashed with SIGABRT", "picking", "a pick that throws"}},
      {"invalid_index", {"cannot be used in 1000 of 1000 picks"}},
      {"crash_in_event", {"crashed with SIGSEGV", "hearing of events"}},
      {"crash_in_destroy", {"crashed with SIGSEGV", "being destroyed"}},
  };
  Server a(named("a"));
  const Misfit misfit;
  // Long enough for a loaded machine, short enough to wait for the one that hangs.
  const std::string limit = std::to_string(static_cast<int>(3 * timeFactor())) + "s";
  Balancer balancer(misfit.config().backend("a", a.address()), {{"LEMONADE_PREFLIGHT", limit}});
  for (const auto& [misdeed, words] : cases) {
    CAPTURE(misdeed);
    misfit.become(misdeed);
    const auto answer = reloadNow(balancer);
    CAPTURE(answer.body);
    CHECK(answer.status == 422);
    CHECK(answer.body.find("plugin com.example.misfit (" + misfit.file() + ")") != std::string::npos);
    for (const auto& word : words) CHECK(answer.body.find(word) != std::string::npos);
    CHECK(balancer.ask() == "a");
    CHECK(strategyVersion(balancer) == "1.0.0-none");
  }
  CHECK(reloadCount(balancer, "failed") == static_cast<int>(std::size(cases)));
}

TEST_CASE("A preflight shows a strategy the priorities that run", "[preflight]") {
  Server a(named("a")), b(named("b"));
  const auto config = [&](const std::string& strategy, int priority) {
    return unwatched()
        .set("strategy.algorithm", strategy)
        .backend("a", a.address(), "name = \"tier 0\"")
        .backend("b", b.address(), "name = \"tier 2\"\npriority = " + std::to_string(priority));
  };
  Balancer balancer(config("round_robin", 2));
  write(balancer, config("com.example.tiered", 1));
  const auto refused = requestReload(balancer);
  CHECK(refused.status == 422);
  CHECK(contains(refused.body, "could not prepare for the backends as configured: tier 2 has priority 1"));
  CHECK(contains(reload(balancer, config("com.example.tiered", 2)), "strategy round_robin -> com.example.tiered"));
  CHECK(balancer.ask() == "a");
}

TEST_CASE("With preflight off a new strategy is used at once", "[preflight]") {
  Server a(named("a"));
  const Misfit misfit;
  Balancer balancer(misfit.config().backend("a", a.address()), {{"LEMONADE_PREFLIGHT", "off"}});
  misfit.become("invalid_index");
  CHECK(reloadNow(balancer).status == 200);
  CHECK(strategyVersion(balancer) == "1.0.0-invalid_index");
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A pick that takes over 100 ms is counted and reported with plugin and generation", "[preflight]") {
  Server a(named("a"));
  const Misfit misfit("slow_pick");
  Balancer balancer(misfit.config().backend("a", a.address()));
  for (int i = 0; i < 3; ++i) CHECK(balancer.ask() == "a");
  const auto line = balancer.process().waitForLog("a pick took over 100 ms");
  CHECK(field(line, "strategy") == "com.example.misfit");
  CHECK(field(line, "generation") == "1");
  CHECK(std::stoi(field(line, "took_ms")) >= 100);
  CHECK(balancer.metric("lemonade_proxy_slow_picks_total") == 3);
  CHECK(balancer.process().countLog("a pick took over 100 ms") <= 2);  // one for each worker
}

TEST_CASE("The status and the metrics tell of the last reload", "[preflight]") {
  Server a(named("a"));
  const Misfit misfit;
  Balancer balancer(misfit.config().backend("a", a.address()));
  CHECK(balancer.status()->isNull("last_reload"));
  CHECK(balancer.metric("lemonade_config_last_reload_time_seconds") == 0);
  const auto result = [&] { return balancer.status()->getObject("last_reload")->getValue<std::string>("result"); };
  CHECK(reloadNow(balancer).status == 200);
  CHECK(result() == "unchanged");
  misfit.become("crash_in_pick");
  CHECK(reloadNow(balancer).status == 422);
  CHECK(result() == "failed");
  CHECK(balancer.metric("lemonade_config_last_reload_success") == 0);
  misfit.become("none");
  CHECK(reloadNow(balancer).status == 200);
  const auto last = balancer.status()->getObject("last_reload");
  CHECK(last->getValue<std::string>("reason") == "request");
  CHECK(last->getValue<std::string>("result") == "unchanged");
  CHECK(last->getValue<int>("generation") == balancer.status()->getValue<int>("config_generation"));
  CHECK(balancer.metric("lemonade_config_last_reload_success") == 1);
  CHECK(balancer.metric("lemonade_config_last_reload_time_seconds") > 1e9);
  CHECK(balancer.metric("lemonade_config_last_reload_duration_seconds") > 0);
}

TEST_CASE("A preflight that has not even begun when its time is over is held against no plugin", "[preflight]") {
  Server a(named("a"));
  const Misfit misfit;
  Balancer balancer(misfit.config().backend("a", a.address()), {{"LEMONADE_PREFLIGHT", "1ms"}});
  misfit.become("none_but_last");
  CHECK(reloadNow(balancer).status == 200);
  balancer.process().waitForLog("is used without a preflight, which cannot be run here: the child never began");
  CHECK(strategyVersion(balancer) == "1.0.0-none_but_last");
}

TEST_CASE("A LEMONADE_PREFLIGHT that is no duration is a configuration error", "[preflight]") {
  const Misfit misfit;
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", misfit.config().backend("a", "127.0.0.1:1").text());
  const auto outcome = run(lemonade({"lb", "--validate", "--config", file}), {{"LEMONADE_PREFLIGHT", "soon"}});
  CHECK(outcome.code == 1);
  CHECK(outcome.err.find("LEMONADE_PREFLIGHT: \"soon\"") != std::string::npos);
}

TEST_CASE("Validating survives a plugin that crashes and names it", "[preflight]") {
  const Misfit misfit("crash_in_create");
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", misfit.config().backend("a", "127.0.0.1:1").text());
  const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
  INFO(outcome.err);
  CHECK(outcome.code == 1);
  CHECK(outcome.err.find("crashed with SIGSEGV in preflight while being created") != std::string::npos);
  CHECK(outcome.err.find(file + ":") != std::string::npos);
}

TEST_CASE("Every shipped plugin passes its preflight", "[preflight]") {
  const TemporaryFolder folder;
  const std::string strategy = GENERATE("adaptive", "round_robin", "weighted_round_robin", "least_connections",
                                        "random_two", "fastest_response_time", "peak_ewma", "consistent_hash");
  const auto file = folder.write("lemonade.toml", Config()
                                                      .set("strategy.algorithm", strategy)
                                                      .set("health.checker", "tcp")
                                                      .set("proxy.max_connections", 300)
                                                      .raw("metrics.sinks", "[\"prometheus\", \"log\"]")
                                                      .backend("a", "127.0.0.1:1", "max_connections = 1")
                                                      .backend("b", "127.0.0.1:2", "weight = 0")
                                                      .backend("c", "127.0.0.1:3", "weight = 7")
                                                      .text());
  const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
  CAPTURE(strategy);
  CHECK(outcome.err == "");
  CHECK(outcome.code == 0);
}

}  // namespace lemonade::test
