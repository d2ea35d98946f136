// SPDX-License-Identifier: MIT
#include "app/run_check.h"

#include "app/edges.h"
#include "app/endpoints.h"
#include "app/preparation.h"
#include "balance/backend.h"
#include "balance/resolver.h"
#include "base/control_loop.h"
#include "base/nanoseconds.h"
#include "cli/asking.h"
#include "cli/dialogue.h"
#include "cli/exit_codes.h"
#include "cli/style.h"
#include "config/environment.h"
#include "config/loader.h"
#include "health/probe.h"
#include "plugin/loader.h"
#include "plugin/text.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <iostream>
#include <memory>
#include <system_error>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
using Outcome = health::Probe::Outcome;

constexpr auto kNameTime = 10s;
constexpr std::size_t kScratch = 64 * 1024;

const char* wordOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed:
      return "passed";
    case Outcome::kDegraded:
      return "degraded";
    case Outcome::kBroken:
      return "broken";
    case Outcome::kSkipped:
      return "skipped";
    case Outcome::kFailed:
    case Outcome::kRunning:
      break;
  }
  return "failed";
}

std::string bytesOf(const lemonade_str_t& text) {
  return text.data == nullptr ? std::string() : std::string(plugin::view(text));
}

/// Writes the steps of a check down.
class Scribe : public health::Probe::Witness {
 public:
  explicit Scribe(cli::Dialogue& dialogue) : dialogue_(dialogue) {}

  void happened(const lemonade_probe_event_t& event) override {
    switch (event.type) {
      case LEMONADE_PROBE_CONNECTED:
        return note("connected");
      case LEMONADE_PROBE_DATA:
        return note("received", bytesOf(event.data));
      case LEMONADE_PROBE_EOF:
        return note("closed", "the backend has finished sending");
      case LEMONADE_PROBE_ERROR:
        return note("error", std::generic_category().message(event.error));
      case LEMONADE_PROBE_TIMEOUT:
        return note("timeout");
      default:
        return;
    }
  }

  void answered(const lemonade_probe_verdict_t& verdict) override {
    if (verdict.what == LEMONADE_VERDICT_SEND) note("sent", bytesOf(verdict.send));
    if (verdict.what == LEMONADE_VERDICT_PASS) note("verdict", "alive");
    if (verdict.what == LEMONADE_VERDICT_FAIL) note("verdict", "not alive, " + bytesOf(verdict.reason));
    if (verdict.what == LEMONADE_VERDICT_DEGRADED) note("verdict", "alive but unwell, " + bytesOf(verdict.reason));
  }

 private:
  void note(const char* what, std::string text = "") {
    dialogue_.steps.push_back({nowNs() - began_ns_, what, std::move(text)});
  }

  cli::Dialogue& dialogue_;
  const std::uint64_t began_ns_ = nowNs();
};

/// Checks one address once; takes as long as the check may.
cli::Dialogue checkOnce(const health::Checker& checker, const config::Pool& pool, const Endpoint& endpoint) {
  const Backend backend(endpoint.configured, endpoint.address, 1, pool.name);
  const auto route = routeOf(pool);
  cli::Dialogue dialogue{pool.name, backend.id(), route.target(endpoint.address).text(), pool.health.checker.id};
  if (endpoint.address.family() == AF_UNSPEC && route.address.family() == AF_UNSPEC) {
    dialogue.address = endpoint.configured.host;
    dialogue.outcome = "failed";
    dialogue.reason = "the name has no address";
    return dialogue;
  }
  Scribe scribe(dialogue);
  const Fd epoll = ownedFd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  health::Probe probe(Clock::steady());
  probe.show(&scribe);
  const std::uint64_t began = nowNs(), deadline = began + ns(pool.health.timeout);
  auto outcome = probe.begin(&checker, {backend, route}, pool.health.timeout, epoll.get(), &probe);
  std::vector<char> scratch(kScratch);
  while (outcome == Outcome::kRunning) {
    const auto now = nowNs();
    const int left = now < deadline ? static_cast<int>((deadline - now + 999'999) / 1'000'000) : 0;
    epoll_event event{};
    const int ready = left == 0 ? 0 : ::epoll_wait(epoll.get(), &event, 1, left);
    if (ready > 0) outcome = probe.onReady(event.events, scratch);
    if (ready == 0) outcome = probe.onTimeout();
  }
  dialogue.outcome = wordOf(outcome);
  dialogue.reason = probe.reason();
  dialogue.took_ns = nowNs() - began;
  return dialogue;
}

struct Chosen {
  const config::Pool* pool = nullptr;
  const config::Backend* backend = nullptr;
};

/// Those that "POOL/BACKEND" or "BACKEND" means, by id or name.
std::vector<Chosen> chosenBy(const std::string& text, const config::Config& config) {
  std::vector<Chosen> all;
  for (const auto& pool : config.pools)
    for (const auto& backend : pool.backends)
      for (const auto& called : {backend.id, backend.name})
        if ((text == called || text == pool.name + "/" + called) && (all.empty() || all.back().backend != &backend))
          all.push_back({&pool, &backend});
  return all;
}

std::string choices(const config::Config& config) {
  std::string text;
  for (const auto& pool : config.pools)
    for (const auto& backend : pool.backends) text += "\n  " + pool.name + "/" + backend.id;
  return text;
}

Resolution resolved(const std::string& host, ControlLoop& loop, Resolver& resolver) {
  const auto promise = std::make_shared<std::promise<Resolution>>();
  auto answer = promise->get_future();
  loop.run(
      [&] { resolver.resolve(host, [promise](const Resolution& resolution) { promise->set_value(resolution); }); });
  if (answer.wait_for(kNameTime) == std::future_status::ready) return answer.get();
  return {Resolution::Outcome::kTemporary, {}, "name \"" + host + "\" has not resolved within 10 s", {}};
}

int report(const std::vector<cli::Dialogue>& dialogues, bool json) {
  if (json) {
    std::cout << cli::dialoguesJson(dialogues) << std::flush;
  } else {
    for (const auto& dialogue : dialogues) std::cout << cli::showDialogue(dialogue, cli::wantsColour());
  }
  const bool passed = std::ranges::all_of(dialogues, [](const auto& one) { return one.passed(); });
  return passed ? cli::kDone : cli::kRefused;
}

/// Everything is made here and gone when it returns, but for the loop and the cells, which plugins may lean on.
int checkChosen(const Chosen& chosen, const config::Config& config, bool json) {
  static auto& loop = *new ControlLoop();
  static auto& cells = *new plugin::MetricCells();
  loop.start();
  Resolver resolver(loop);
  plugin::Loader loader(loop, cells);
  std::vector<plugin::OptionProblem> problems;
  const auto& choice = chosen.pool->health.checker;
  const Resolution resolution = resolved(chosen.backend->host, loop, resolver);
  const std::string fault = resolution.ok() ? "" : resolution.error;
  std::vector<cli::Dialogue> dialogues;
  loop.run([&] {
    loader.scan(pluginSearchPath(config));
    auto file = loader.read(choice, plugin::kKindOf<lemonade_health_checker_t>);
    if (!file) return void(problems.push_back({choice.source, file.error().message}));
    const auto checker = loader.create<lemonade_health_checker_t>(file.value(), choice, problems);
    if (!checker) return;
    for (const auto& endpoint : endpoints(*chosen.backend, updated({}, resolution.targets)))
      dialogues.push_back(checkOnce(*checker, *chosen.pool, endpoint));
  });
  loop.stop();
  for (const auto& problem : problems) (void)cli::fail(cli::kWrongUse, problem.source.text() + ": " + problem.text);
  if (!problems.empty()) return cli::kWrongUse;
  if (!fault.empty()) (void)cli::fail(cli::kRefused, fault);
  return report(dialogues, json);
}

}  // namespace

int runCheck(const CheckArguments& arguments) try {
  const auto loaded = config::load({arguments.config, config::processEnvironment(), arguments.plugin_dirs});
  for (const auto& finding : loaded.findings)
    if (finding.severity == config::Severity::kError) std::cerr << finding.line() << "\n";
  if (!loaded.ok()) return cli::kWrongUse;
  const auto chosen = chosenBy(arguments.backend, loaded.config);
  if (chosen.size() != 1)
    return cli::fail(cli::kWrongUse,
                     (chosen.empty() ? "the configuration has no backend " : "several backends are called ") +
                         arguments.backend + "; there are:" + choices(loaded.config));
  if (!chosen.front().pool->health.hasChecker())
    return cli::fail(cli::kWrongUse, "the backends of pool " + chosen.front().pool->name +
                                         " are not checked: their checker is \"none\"");
  return checkChosen(chosen.front(), loaded.config, arguments.json);
} catch (const std::exception& e) {
  return cli::fail(cli::kWrongUse, e.what());
}

}  // namespace lemonade::app
