// SPDX-License-Identifier: MIT
#include "simulation/scenario_file.h"

#include "config/nearest.h"
#include "config/tree.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace lemonade::sim {

namespace {

using config::Findings;
using config::Item;
using config::Source;

double secondsOf(Duration duration) { return std::chrono::duration<double>(duration).count(); }

class ScenarioReader {
 public:
  ScenarioReader(const std::string& file, Findings& findings) : file_(file), findings_(findings) {}

  Written read(const toml::table& root) {
    const config::Table top{file_, "scenario", root, findings_};
    config::eachKey(
        top, scenarioKeys(), "", {"backends", "events", "sessions", "crowd"},
        [this](const auto& key, const Item& item) { readKey(key, item); },
        [this](std::string_view name, const toml::node& node) { return readTable(std::string(name), node); });
    if (said_.contains("load") && said_.contains("rate"))
      findings_.error(said_["load"], "give rate or load, not both: the load is the rate over what the backends can do");
    if (written_.warm_up >= written_.length)
      findings_.error(said_["warm_up"], "no request counts: the warm_up is as long as the scenario");
    return std::move(written_);
  }

 private:
  Source at(const toml::node& node) const { return config::sourceOf(file_, node.source()); }

  void readKey(const config::Key<Written>& key, const Item& item) {
    key.read(item, written_);
    said_[key.path()] = item.source;
  }

  /// False where the file may have no table of this name.
  bool readTable(const std::string& name, const toml::node& node) {
    if (name == "backends") return readList(name, scenarioBackendKeys(), node, written_.backends);
    if (name == "events") return readList(name, scenarioEventKeys(), node, written_.events);
    if (name != "sessions" && name != "crowd") return false;
    if (const auto* table = node.as_table()) {
      config::eachKey(config::Table{file_, name, *table, findings_}, scenarioKeys(), name,
                      [this](const auto& key, const Item& item) { readKey(key, item); });
    } else {
      findings_.error(at(node), name + " is a table; write [" + name + "]");
    }
    return true;
  }

  template <class Element>
  bool readList(const std::string& name, const std::vector<config::Key<Element>>& keys, const toml::node& node,
                std::vector<Element>& list) {
    const auto* elements = node.as_array();
    if (elements == nullptr) {
      findings_.error(at(node), name + " is a list of tables; write [[" + name + "]]");
      return true;
    }
    for (const auto& element : *elements) {
      const auto* table = element.as_table();
      if (table == nullptr) {
        findings_.error(at(element), name + " is a list of tables; write [[" + name + "]]");
        continue;
      }
      Element one;
      one.source = at(element);
      config::eachKey(config::Table{file_, name, *table, findings_}, keys, "",
                      [&one](const auto& key, const Item& item) { key.read(item, one); });
      list.push_back(std::move(one));
    }
    return true;
  }

  const std::string& file_;
  Findings& findings_;
  Written written_;
  std::map<std::string, Source> said_;
};

std::vector<WrittenBackend> usualBackends() {
  std::vector<WrittenBackend> backends(kUsualBackends);
  for (std::uint32_t i = 0; i < kUsualBackends; ++i) backends[i].id = "b" + std::to_string(i + 1);
  return backends;
}

void checkIds(std::vector<WrittenBackend>& backends, Findings& findings) {
  std::set<std::string> ids;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    auto& backend = backends[i];
    if (backend.id.empty()) backend.id = "b" + std::to_string(i + 1);
    if (!ids.insert(backend.id).second) findings.error(backend.source, "two backends are called " + backend.id);
  }
}

/// Speeds are what happens first, and what events multiply.
std::vector<Step> timetableOf(const Written& written, const std::vector<WrittenBackend>& backends, Findings& findings) {
  std::vector<std::string> ids;
  std::vector<Step> steps;
  for (std::uint32_t i = 0; i < backends.size(); ++i) {
    ids.push_back(backends[i].id);
    if (backends[i].speed != 1) steps.push_back({0, i, Action::kSlow, 1 / backends[i].speed});
  }
  for (const auto& event : written.events) {
    const auto named = std::find(ids.begin(), ids.end(), event.backend);
    if (named == ids.end()) {
      findings.error(event.source, event.backend.empty() ? "the event has no backend; give the id of one"
                                                         : "there is no backend " + event.backend + "; " +
                                                               config::suggestion(event.backend, ids));
      continue;
    }
    if (event.at >= written.length) findings.error(event.source, "the event comes after the end of the scenario");
    const auto server = static_cast<std::uint32_t>(named - ids.begin());
    const double speed = event.does == Action::kSlow ? backends[server].speed : 1;
    steps.push_back({secondsOf(event.at), server, event.does, event.factor / speed});
  }
  return steps;
}

}  // namespace

std::vector<WrittenBackend> backendsOf(const std::vector<config::Backend>& configured) {
  std::vector<WrittenBackend> backends;
  for (const auto& one : configured)
    if (one.enabled) backends.push_back({one.id, 1, one.weight, one.zone, one.source});
  return backends;
}

NamedScenario readScenario(std::string_view text, const std::string& filename, std::vector<WrittenBackend> backends) {
  Findings findings;
  NamedScenario named;
  Written written;
  if (const auto tree = config::parseTree(text, filename, findings))
    written = ScenarioReader(filename, findings).read(*tree);
  if (!written.backends.empty()) backends = written.backends;
  if (backends.empty()) backends = usualBackends();
  checkIds(backends, findings);

  Scenario& scenario = named.scenario;
  scenario.key = "scenario";
  scenario.title = written.title;
  scenario.servers = static_cast<std::uint32_t>(backends.size());
  scenario.balancers = written.balancers;
  scenario.seconds = secondsOf(written.length);
  scenario.measure_from = secondsOf(written.warm_up);
  scenario.work_ms = 1'000 * secondsOf(written.work);
  scenario.work_variation = written.work_variation;
  scenario.workers = written.requests_at_once;
  scenario.checks = written.checks;
  scenario.crowd_from = secondsOf(written.crowd_from);
  scenario.crowd_to = secondsOf(written.crowd_to);
  scenario.crowd_factor = written.crowd_factor;
  scenario.session_rate = written.session_rate;
  scenario.session_requests = written.session_rate > 0 ? written.session_requests : 0;
  scenario.busy_share = written.session_busy_share;
  for (const auto& backend : backends) {
    named.names.push_back(backend.id);
    scenario.weights.push_back(backend.weight);
    scenario.zones.push_back(backend.zone);
    scenario.capacity += backend.speed;
  }
  scenario.own_zones.assign(scenario.balancers, "");
  scenario.timetable = timetableOf(written, backends, findings);
  written.rate > 0 ? void(scenario.rate = written.rate) : setLoad(scenario, written.load);
  named.findings = std::move(findings).take();
  return named;
}

}  // namespace lemonade::sim
