// SPDX-License-Identifier: MIT
//
// A start has a preflight as a reload has one; and what becomes of a preflight that somebody else disturbs.
#include "e2e/misfit.h"
#include "e2e/processes.h"
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <signal.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <future>
#include <iterator>
#include <optional>

namespace lemonade::test {

namespace {

const Environment kAWhile = {{"LEMONADE_PREFLIGHT", "60s"}};

/// Runs a balancer that is to end by itself.
Outcome startWith(const Config& config, const Environment& environment = {}) {
  const TemporaryFolder folder;
  return run(lemonade({"lb", "--config", folder.write("lemonade.toml", config.text())}), environment);
}

/// A child of the process other than those that has begun to run as /proc/self/exe; waits for it.
pid_t nextChild(pid_t parent, const std::vector<pid_t>& before) {
  std::optional<pid_t> found;
  REQUIRE(eventually([&] {
    for (const auto child : childrenOf(parent))
      if (std::find(before.begin(), before.end(), child) == before.end() && statusOf(child, "Name") == "exe")
        found = child;
    return found.has_value();
  }));
  return *found;
}

/// A balancer whose reload waits for a plugin that hangs in its preflight.
struct Waiting {
  explicit Waiting(const Environment& environment)
      : balancer(misfit.config().backend("a", "127.0.0.1:1"), environment) {
    misfit.become("hang_in_create");
    answer = std::async(std::launch::async, [this] { return reloadNow(balancer); });
  }
  const Misfit misfit;
  Balancer balancer;
  std::future<HttpAnswer> answer;
};

}  // namespace

TEST_CASE("A start refuses a plugin that misbehaves in preflight and names it", "[preflight]") {
  struct Case {
    const char* misdeed;
    const char* words;
  };
  const Case cases[] = {
      {"crash_in_pick", "crashed with SIGSEGV in preflight while picking"},
      {"chdir_in_create", "when an instance is created in preflight; use whole paths"},
      {"close_in_create", "closes or replaces descriptors of the host"},
  };
  for (const auto& [misdeed, words] : cases) {
    CAPTURE(misdeed);
    const Misfit misfit(misdeed);
    const auto outcome = startWith(misfit.config().set("plugins.preflight", "always").backend("a", "127.0.0.1:1"));
    CAPTURE(outcome.err);
    CHECK(outcome.code == 1);
    CHECK(contains(outcome.err, "plugin com.example.misfit (" + misfit.file() + ")"));
    CHECK(contains(outcome.err, words));
  }
}

TEST_CASE("A start with plugins that are in order has its preflights and says nothing of them", "[preflight]") {
  Server a(named("a"));
  Balancer balancer(Config()
                        .set("plugins.preflight", "always")
                        .set("health.checker", "tcp")
                        .raw("metrics.sinks", "[\"prometheus\", \"log\"]")
                        .backend("a", a.address()));
  CHECK(balancer.ask() == "a");
  CHECK(balancer.process().countLog("preflight") == 0);
}

TEST_CASE("Preflights can be left out at starts, or everywhere", "[preflight]") {
  Server a(named("a"));
  const std::string when = GENERATE("reload", "off");
  CAPTURE(when);
  const Misfit misfit("invalid_index");
  Balancer balancer(misfit.config().set("plugins.preflight", when).backend("a", a.address()));
  CHECK(balancer.ask() == "a");
  misfit.become("none");
  CHECK(reloadNow(balancer).status == 200);
  misfit.become("invalid_index");
  CHECK(reloadNow(balancer).status == (when == "off" ? 200 : 422));
}

TEST_CASE("Plugins are tried side by side", "[preflight]") {
  const Misfit misfit("hang_in_create");
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", misfit.config()
                                                      .set("plugins.preflight", "always")
                                                      .set("runtime.supervisor", "off")
                                                      .backend("a", "127.0.0.1:1")
                                                      .toml("[pools.web]\nbackends = \"127.0.0.1:2\"\n")
                                                      .text());
  Process process(lemonade({"lb", "--config", file}), kAWhile);
  CHECK(eventually([&] { return childrenOf(process.pid()).size() == 2; }));
}

TEST_CASE("Of pools that choose the same plugin with the same options eight are tried for all", "[preflight]") {
  const Misfit misfit("mark_in_create");
  const TemporaryFolder marks;
  auto config = misfit.config().set("plugins.preflight", "always").backend("a", "127.0.0.1:1");
  for (int i = 1; i < 12; ++i) config.toml("[pools.p" + std::to_string(i) + "]\nbackends = \"127.0.0.1:2\"\n");
  const Balancer balancer(config, {{"LEMONADE_TEST_MARKS", marks.path().string()}});
  const auto made = std::distance(std::filesystem::directory_iterator(marks.path()), {});
  CHECK(made == 8 + 1);  // and the balancer itself
}

TEST_CASE("A preflight that is killed is tried once more", "[preflight]") {
  Waiting waiting(Environment{{"LEMONADE_PREFLIGHT", "3s"}});
  const auto parent = waiting.balancer.process().pid();
  ::kill(nextChild(parent, {}), SIGKILL);
  const auto answer = waiting.answer.get();
  CHECK(answer.status == 422);
  CHECK(contains(answer.body, "hung while being created"));
}

TEST_CASE("A preflight that is killed or stopped twice refuses the plugin and says so", "[preflight]") {
  const int signal = GENERATE(SIGKILL, SIGTERM, SIGSTOP);
  CAPTURE(signal);
  Waiting waiting(kAWhile);
  const auto parent = waiting.balancer.process().pid();
  const auto first = nextChild(parent, {});
  ::kill(first, signal);
  ::kill(nextChild(parent, {first}), signal);
  const auto answer = waiting.answer.get();
  CAPTURE(answer.body);
  CHECK(answer.status == 422);
  CHECK(contains(answer.body, "cannot be judged: the process that tries it in preflight was"));
  CHECK(contains(answer.body, "twice"));
  CHECK(contains(answer.body, signal == SIGSTOP ? "stopped by a signal" : "killed (crashed with SIG"));
}

TEST_CASE("A configuration that was named relatively is found again after a plugin has left the folder",
          "[preflight]") {
  Server a(named("a"));
  const Misfit misfit("chdir_in_create");
  const TemporaryFolder folder;
  folder.write("lemonade.toml", misfit.config().set("plugins.preflight", "off").backend("a", a.address()).text());
  Arguments words{"sh", "-c", "cd \"$0\" && exec \"$@\"", folder.path().string()};
  for (const auto& word : lemonade({"lb", "--config", "lemonade.toml"})) words.push_back(word);
  Process process(words);
  const auto admin = field(process.waitForLog("admin: listening"), "address");
  misfit.become("none");
  const auto answer = httpGet(admin, "/api/v1/reload", "POST");
  CAPTURE(answer.body);
  CHECK(answer.status == 200);
  CHECK(contains(answer.body, "com.example.misfit"));
  process.signal(SIGTERM);
  CHECK(process.wait(20s) == 0);
}

}  // namespace lemonade::test
