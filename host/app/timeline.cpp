// SPDX-License-Identifier: MIT
//
// Which facts come to the timeline of events, and how that and the reloads of late are answered.
#include "admin/target.h"
#include "app/configuration_facts.h"
#include "app/live.h"
#include "app/load_balancer.h"
#include "app/managed_pool.h"
#include "app/pool_set.h"
#include "app/preparation.h"
#include "app/shadowing.h"
#include "config/duration.h"
#include "observe/events.h"
#include "observe/reloads.h"
#include "proxy/proxy.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kUsualLimit = 100;

/// What a request for events asks.
struct EventsQuestion {
  std::optional<std::uint64_t> after;
  std::size_t limit = kUsualLimit;
  Duration wait{};
};

/// A whole number up to most; otherwise nothing.
std::optional<std::uint64_t> numberIn(const std::string& text, std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > most) return std::nullopt;
  return number;
}

/// The question, or what is wrong with it.
Result<EventsQuestion> eventsQuestionIn(const std::string& query) {
  const auto parameters = admin::parseQuery(query);
  if (!parameters) return Error{"the query is encoded wrongly"};
  EventsQuestion question;
  for (const auto& [name, text] : *parameters) {
    if (name == "after") {
      question.after = numberIn(text, UINT64_MAX);
      if (!question.after) return Error{"after is \"" + text + "\"; give the number that an answer called next"};
    } else if (name == "limit") {
      const auto limit = numberIn(text, Events::kMost);
      if (!limit || *limit == 0)
        return Error{"limit is \"" + text + "\"; give an integer from 1 to " + std::to_string(Events::kMost)};
      question.limit = *limit;
    } else if (name == "wait") {
      const auto wait = config::parseDuration(text);
      if (!wait || *wait > LoadBalancer::kLongestWait)
        return Error{"wait is \"" + text + "\"; give \"10s\" or \"500ms\", up to " +
                     config::durationText(LoadBalancer::kLongestWait)};
      question.wait = *wait;
    } else {
      return Error{"events take no parameter \"" + name + "\"; known are after, limit, wait"};
    }
  }
  return question;
}

std::string joinedLines(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

/// What takes the place of what: a sink that of its own id, the others that of their pool.
const PluginStatus* predecessorOf(const PluginStatus& plugin, const std::vector<PluginStatus>& before) {
  const auto found = std::find_if(before.begin(), before.end(), [&](const PluginStatus& one) {
    return one.kind == plugin.kind && one.pool == plugin.pool &&
           (!plugin.pool.empty() || one.info.id == plugin.info.id);
  });
  return found == before.end() ? nullptr : &*found;
}

std::string called(const PluginStatus& plugin) {
  return plugin.info.id + (plugin.info.version.empty() ? "" : " " + plugin.info.version);
}

}  // namespace

// ---- what is noted -------------------------------------------------------------------------------------------------

void LoadBalancer::happened(Event event) { events_->add(std::move(event)); }

void LoadBalancer::noteReload(const ReloadRecord& reload) {
  if (reload.status.result == "unchanged") return;
  const bool applied = reload.status.result == "applied";
  std::string text = "reload (" + reload.status.reason + ") ";
  text += applied ? "applied, generation " + std::to_string(reload.status.generation)
                  : "refused, the running configuration stays";
  if (!applied && !reload.status.lines.empty()) text += ": " + reload.status.lines.front();
  happened({.kind = applied ? EventKind::kReloadApplied : EventKind::kReloadRefused,
            .text = text,
            .fields = {{"reason", reload.status.reason},
                       {"by", reload.by},
                       {"generation", std::to_string(reload.status.generation)},
                       {"lines", joinedLines(reload.status.lines)}}});
}

void LoadBalancer::noteRefusedPlugins(const Preparation& preparation) {
  for (const auto& [id, why] : preparation.refused_plugins)
    happened({.kind = EventKind::kPluginRefused,
              .text = "plugin " + id + " was refused: " + why,
              .fields = {{"plugin", id}, {"reason", why}}});
}

void LoadBalancer::noteSwaps(const std::vector<PluginStatus>& before, const std::vector<PluginStatus>& now) {
  for (const auto& plugin : now) {
    const auto* old = predecessorOf(plugin, before);
    if (old == nullptr || (old->info.number == plugin.info.number && old->info.id == plugin.info.id)) continue;
    happened({.kind = EventKind::kPluginSwapped,
              .text = plugin.kind + " " + called(*old) + " -> " + called(plugin),
              .pool = plugin.pool,
              .fields = {{"kind", plugin.kind},
                         {"plugin", plugin.info.id},
                         {"version", plugin.info.version},
                         {"generation", std::to_string(plugin.info.number)}}});
  }
}

void LoadBalancer::lookAround() {
  std::set<std::string> reached;
  for (const auto& listener : proxy_->listeners())
    if (listener->admission().fullSince() != 0) reached.insert(listener->name());
  const auto note = [this](EventKind kind, const std::string& name, const char* what) {
    happened({.kind = kind, .text = "max_connections of listener " + name + what, .fields = {{"listener", name}}});
  };
  for (const auto& name : reached)
    if (!full_listeners_.contains(name)) note(EventKind::kLimitReached, name, " is reached, further clients wait");
  for (const auto& name : full_listeners_)
    if (!reached.contains(name)) note(EventKind::kLimitOver, name, " is no longer reached");
  full_listeners_ = std::move(reached);
  for (const auto& pool : pools_->configured()) pool->shadowing().look();
  watchLimits();
  judgeProbations();
  events_->expire(nowNs());
}

void LoadBalancer::noteDescriptors(bool are_short) {
  if (std::exchange(short_of_descriptors_, are_short) == are_short) return;
  happened({.kind = are_short ? EventKind::kDescriptorsShort : EventKind::kDescriptorsBack,
            .text = are_short ? "out of descriptors, no more clients are let in than there are"
                              : "there are descriptors again"});
}

// ---- what is answered ----------------------------------------------------------------------------------------------

void LoadBalancer::answerEvents(const admin::Request& request, const admin::Answer& answer) {
  const auto question = eventsQuestionIn(request.query);
  if (!question) return answer(admin::errorResponse(400, question.error().message));
  const auto tell = [events = events_, asked = question.value(), answer] {
    const auto page = asked.after ? events->after(*asked.after, asked.limit) : events->latest(asked.limit);
    answer({.body = eventsJson(page)});
  };
  const auto& asked = question.value();
  if (asked.wait == Duration::zero() || !asked.after) return tell();
  const std::uint64_t until = nowNs() + static_cast<std::uint64_t>(asked.wait.count());
  if (!events_->await(*asked.after, until, tell))
    answer(admin::errorResponse(503, "too many wait for events; ask without wait"));
}

admin::Response LoadBalancer::stream(const admin::Request& request) {
  const auto question = eventsQuestionIn(request.query);
  if (!question) return admin::errorResponse(400, question.error().message);
  return live_->open(question.value().after);
}

admin::Response LoadBalancer::reloads() const {
  const std::lock_guard lock(facts_mutex_);
  return {.body = reloadsJson(reloads_)};
}

}  // namespace lemonade::app
