// SPDX-License-Identifier: MIT
//
// A health checker in process: a table whose slots call what the test scripts, and that watches the host keep its side
// of the contract.
#pragma once

#include "health/probe.h"

#include <lemonade/sdk/health_checker.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <set>

namespace lemonade::test {

using sdk::Verdict;

/// Everything is called on the thread that drives the probes, but for what ends the instance.
class ScriptedChecker {
 public:
  using Event = lemonade_probe_event_t;
  using Target = lemonade_probe_target_t;

  std::function<Verdict(const Target&)> on_begin = [](const Target&) { return sdk::wait(); };
  std::function<Verdict(const Event&)> on_event = passWhenConnected;
  std::function<void()> on_end = [] {};
  lemonade_status_t begin_status = LEMONADE_OK;

  // Any thread.
  std::atomic<int> begun{0};
  std::atomic<int> ended{0};
  std::atomic<int> destroyed{0};
  std::atomic<bool> broken{false};  ///< the host called a slot when it must not

  static Verdict passWhenConnected(const Event& event) {
    return event.type == LEMONADE_PROBE_CONNECTED ? sdk::pass() : sdk::fail(event);
  }
  static Verdict failWhenConnected(const Event& event) {
    return event.type == LEMONADE_PROBE_CONNECTED ? sdk::fail("scripted") : sdk::fail(event);
  }
  static Verdict waitForEver(const Event&) { return sdk::wait(); }

  /// An instance to hand to the host; the script must outlive it.
  std::shared_ptr<health::Checker> instance() {
    return std::make_shared<health::Checker>(kTable, this, plugin::InstanceInfo{"scripted", "1.0.0", "", 1}, nullptr);
  }

 private:
  struct Probe {
    std::uint64_t identity;
    bool over = false;
  };

  static lemonade_status_t begin(void* self, const Target* target, void** probe, Verdict* verdict) noexcept {
    auto& script = *static_cast<ScriptedChecker*>(self);
    if (script.begin_status != LEMONADE_OK) return script.begin_status;
    if (!script.identities_.insert(target->identity).second) script.broken = true;  // two at once on one backend
    ++script.begun;
    *probe = new Probe{target->identity};
    *verdict = script.on_begin(*target);
    return LEMONADE_OK;
  }
  static void event(void* self, void* probe, const Event* event, Verdict* verdict) noexcept {
    auto& script = *static_cast<ScriptedChecker*>(self);
    auto& state = *static_cast<Probe*>(probe);
    if (state.over || verdict->what != LEMONADE_VERDICT_WAIT) script.broken = true;
    *verdict = script.on_event(*event);
    state.over = verdict->what > LEMONADE_VERDICT_SEND || event->type > LEMONADE_PROBE_DATA;
  }
  static void end(void* self, void* probe) noexcept {
    auto& script = *static_cast<ScriptedChecker*>(self);
    const std::unique_ptr<Probe> state(static_cast<Probe*>(probe));
    if (script.identities_.erase(state->identity) != 1 || script.destroyed > 0) script.broken = true;
    script.on_end();
    ++script.ended;  // at last: whoever has waited for it may end the script
  }
  static void destroy(void* self) noexcept {
    auto& script = *static_cast<ScriptedChecker*>(self);
    if (!script.identities_.empty()) script.broken = true;
    ++script.destroyed;
  }

  static constexpr lemonade_health_checker_t kTable = {
      sizeof(lemonade_health_checker_t), 0, nullptr, destroy, begin, event, end};

  std::set<std::uint64_t> identities_;  // of the probes under way
};

}  // namespace lemonade::test
