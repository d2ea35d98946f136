// SPDX-License-Identifier: MIT
//
// What a scenario file may say: every key with its type, range and meaning. Immutable; any thread.
#pragma once

#include "base/clock.h"
#include "config/config.h"
#include "config/key.h"
#include "simulation/scenario.h"

#include <chrono>
#include <string>
#include <vector>

namespace lemonade::sim {

/// A backend as it is at the start.
struct WrittenBackend {
  std::string id;
  double speed = 1;  ///< in multiples of the usual one
  std::uint32_t weight = 1;
  std::string zone;
  config::Source source = {};
};

/// Something that happens to a backend.
struct WrittenEvent {
  Duration at{0};
  std::string backend;
  Action does = Action::kSlow;
  double factor = 1;
  config::Source source = {};
};

/// What a file says, with every default filled in.
struct Written {
  std::string title = "backends as they are";
  Duration length = std::chrono::seconds(60);
  Duration warm_up = std::chrono::seconds(0);
  double load = 0.6;
  double rate = 0;  ///< 0: as the load says
  Duration work = std::chrono::milliseconds(5);
  double work_variation = 1;
  std::uint32_t requests_at_once = 1;
  std::uint32_t balancers = 1;
  bool checks = true;
  double session_rate = 0;
  std::uint32_t session_requests = 100;
  double session_busy_share = 0.25;
  Duration crowd_from{0};
  Duration crowd_to{0};
  double crowd_factor = 1;
  std::vector<WrittenBackend> backends;
  std::vector<WrittenEvent> events;
};

/// All keys at the top of a file and in its tables [sessions] and [crowd], those of a [[backends]] and of an
/// [[events]].
const std::vector<config::Key<Written>>& scenarioKeys();
const std::vector<config::Key<WrittenBackend>>& scenarioBackendKeys();
const std::vector<config::Key<WrittenEvent>>& scenarioEventKeys();

}  // namespace lemonade::sim
