// SPDX-License-Identifier: MIT
//
// What follows a call of a plugin that was broken off: the log says so once, the content is quarantined, what ran
// before takes over, and operators see it until something else runs there or the plugin is released.
#include "admin/target.h"
#include "app/load_balancer.h"
#include "app/managed_pool.h"
#include "app/parent.h"
#include "app/pool_set.h"
#include "app/preparation.h"
#include "balance/pool.h"
#include "base/log.h"
#include "metrics/snapshot.h"
#include "observe/events.h"
#include "observe/families.h"
#include "observe/reloads.h"
#include "observe/status.h"
#include "plugin/broken_call.h"
#include "plugin/call_watch.h"
#include "upgrade/heritage.h"
#include "watch/watcher.h"

#include <algorithm>
#include <set>
#include <utility>

namespace lemonade::app {

namespace {

constexpr std::string_view kPluginsPath = "/api/v1/plugins/";
constexpr std::string_view kReleasePath = "/release";

std::string reasonOf(const plugin::BrokenCall& call) {
  return call.what + " in " + nameOf(call.function) + (call.place.empty() ? "" : " (" + call.place + ")");
}

void logBroken(const plugin::BrokenCall& call) {
  log::error("plugin", "a call of a plugin was broken off, the plugin is quarantined",
             {{"plugin", call.info.id},
              {"version", call.info.version},
              {"file", call.info.file},
              {"generation", call.info.number},
              {"function", nameOf(call.function)},
              {"signal", call.what},
              {"address", call.place.empty() ? "unknown" : call.place},
              {"thread", call.thread},
              {"backtrace", call.backtrace}});
}

}  // namespace

void LoadBalancer::onBroken(const plugin::Fault& fault, const std::string& thread) {
  const auto call = plugin::describe(fault, thread);
  auto& quarantine = context_.quarantine;
  quarantine.count(call);
  // Other threads may have been in the same instance.
  if (!broken_generations_.insert(call.info.number).second) return;
  logBroken(call);
  if (cleared_) return;  // what would be told or take its place is gone
  quarantineContent({call.info, nameOf(call.function), reasonOf(call), unixNs()});
}

// The content has failed wherever it runs: its image is shared. One that failed as a shadow is taken from no pool as
// what decides, though: nobody is to be the worse for it.
void LoadBalancer::quarantineContent(Quarantine::Entry entry) {
  context_.quarantine.add(entry);
  tellQuarantine();
  std::string instead;
  for (const auto& pool : pools_->all())
    if (pool->dropShadow(entry.info))
      instead += (instead.empty() ? "; pool " : ", pool ") + pool->name() + " goes on without it as a shadow";
  for (const auto& pool : pools_->all()) {
    if (entry.info.shadow) break;
    const auto& strategy = pool->pool().strategy();
    if (strategy == nullptr) continue;
    const bool same = !entry.info.hash.empty() && strategy->info().hash == entry.info.hash;
    if (!same && strategy->info().number != entry.info.number) continue;
    pool->fallBack(entry.function.empty());
    const auto& now = pool->strategyInfo();
    instead += (instead.empty() ? "; " : ", ") +
               (now.version.empty() ? "the host's own choice" : now.id + " " + now.version) +
               " takes its place in pool " + pool->name();
  }
  tellEarlier();
  showPlugins();
  happened({.kind = EventKind::kPluginQuarantined,
            .text = textOf(entry) + instead,
            .fields = {{"plugin", entry.info.id},
                       {"version", entry.info.version},
                       {"file", entry.info.file},
                       {"generation", std::to_string(entry.info.number)},
                       {"function", entry.function},
                       {"reason", entry.reason}}});
}

void LoadBalancer::tellQuarantine() const {
  std::vector<supervisor::Quarantined> plugins;
  for (const auto& [info, function, reason, since, active] : context_.quarantine.all())
    if (!info.shadow) plugins.push_back({info.id, info.version, info.hash, info.file, reason});
  if (!parent_.supervisor.quarantine(plugins))
    log::warning("app", "the supervisor cannot be told of what is quarantined: the next process would run it",
                 {{"plugins", plugins.size()}});
}

void LoadBalancer::tellEarlier() {
  std::vector<EarlierContents::Content> contents;
  for (const auto& pool : pools_->configured())
    for (auto& content : pool->earlierContents()) contents.push_back(std::move(content));
  if (!context_.earlier.keep(contents, parent_.supervisor))
    log::warning("app",
                 "the supervisor cannot keep earlier versions of strategies: the next process would choose itself",
                 {{"versions", contents.size()}});
}

void LoadBalancer::judgeProbations() {
  for (const auto& pool : pools_->configured()) {
    const auto why = pool->judgeProbation();
    if (why.empty()) continue;
    const auto info = pool->strategyInfo();
    log::error("plugin", "a strategy on probation fares badly and is taken back",
               {{"plugin", info.id},
                {"version", info.version},
                {"file", info.file},
                {"generation", info.number},
                {"reason", why},
                {"pool", pool->name()}});
    quarantineContent({info, "", "on probation " + why, unixNs()});
  }
}

/// What of the quarantine matters, of what runs now.
void LoadBalancer::markActive() {
  std::set<std::string> active;
  for (const auto& pool : pools_->configured()) {
    active.insert(pool->standsInFor());
    active.insert(pool->lostShadow());
    if (const auto* checker = pool->checker(); checker != nullptr && checker->guard().broken())
      active.insert(checker->info().hash);
  }
  for (const auto& [id, sink] : sinks_)
    if (sink->guard().broken()) active.insert(sink->info().hash);
  context_.quarantine.setActive(active);
}

std::string LoadBalancer::degradedText() const {
  std::string text;
  for (const auto& entry : context_.quarantine.active())
    if (!entry.info.shadow) text += (text.empty() ? "" : "; ") + textOf(entry);
  return text;
}

void LoadBalancer::releasePlugin(const admin::Request& request, const admin::Answer& answer) {
  if (stopping()) return answer(admin::errorResponse(503, stageText()));
  std::string id = request.path.substr(std::min(kPluginsPath.size(), request.path.size()));
  if (!id.ends_with(kReleasePath) || id.size() == kReleasePath.size())
    return answer(admin::errorResponse(404, "there is POST /api/v1/plugins/ID/release"));
  id.resize(id.size() - kReleasePath.size());
  const auto released = context_.quarantine.release(id);
  if (released.empty()) return answer(admin::errorResponse(404, "plugin \"" + id + "\" is not quarantined"));
  tellQuarantine();
  for (const auto& entry : released) {
    log::info("plugin", "a plugin is released from its quarantine",
              {{"plugin", id}, {"version", entry.info.version}, {"reason", entry.reason}, {"by", request.by}});
    happened(
        {.kind = EventKind::kPluginReleased,
         .text = "plugin " + id + " " + entry.info.version + " is released, it was quarantined for " + entry.reason,
         .fields = {{"plugin", id}, {"version", entry.info.version}, {"by", request.by}}});
  }
  watcher_->request("release", [answer, id](const Reloaded& reloaded) {
    std::string lines = "plugin " + id + " is released";
    for (const auto& line : reloaded.lines) lines += "\n" + line;
    answer({reloaded.applied ? 200 : 422, "text/plain", lines + "\n", {}});
  });
}

void LoadBalancer::collectCalls(ProcessTotals& totals, const ProcessTotals& inherited) const {
  for (const auto& [which, count] : context_.quarantine.counts())
    addCalls(totals.plugin_faults, std::get<0>(which), nameOf(std::get<plugin::Function>(which)),
             nameOf(std::get<plugin::FaultKind>(which)), count);
  for (const auto& [which, count] : context_.call_watch->counts())
    addCalls(totals.slow_calls, which.first, nameOf(which.second), "", count);
  for (auto list : {&ProcessTotals::plugin_faults, &ProcessTotals::slow_calls})
    for (const auto& [plugin, function, kind, count] : inherited.*list)
      addCalls(totals.*list, plugin, function, kind, count.value());
}

void LoadBalancer::addContainment(metrics::SnapshotBuilder& builder) const {
  ContainmentFacts facts;
  ProcessTotals totals;
  collectCalls(totals, *heritage_->totals());
  for (const auto& [plugin, function, kind, count] : totals.plugin_faults)
    facts.faults.push_back({plugin, function, kind, count.value()});
  for (const auto& [plugin, function, kind, count] : totals.slow_calls)
    facts.slow_calls.push_back({plugin, function, kind, count.value()});
  for (const auto& entry : context_.quarantine.active())
    facts.quarantined.emplace_back(entry.info.id, entry.info.version);
  lemonade::addContainment(builder, facts);
}

std::vector<QuarantineStatus> LoadBalancer::quarantinedNow() const {
  std::vector<QuarantineStatus> all;
  for (const auto& entry : context_.quarantine.active())
    all.push_back({entry.info, entry.function, entry.reason, entry.since_unix_ns});
  return all;
}

void LoadBalancer::addContainment(StatusInput& input) const {
  input.quarantined = quarantinedNow();
  for (const auto& call : context_.call_watch->slowCalls())
    input.slow_calls.push_back(
        {call.info, nameOf(call.function), call.thread, static_cast<double>(call.lasted_ns) / 1e9});
}

}  // namespace lemonade::app
