// SPDX-License-Identifier: MIT
//
// What is logged: the configured levels, or others for a while, which an operator sets while it runs.
#pragma once

#include "base/clock.h"
#include "base/control_loop.h"
#include "base/log.h"
#include "config/config.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

namespace lemonade::app {

class LogLevels {
 public:
  explicit LogLevels(ControlLoop& loop) : loop_(loop) {}
  LogLevels(const LogLevels&) = delete;
  LogLevels& operator=(const LogLevels&) = delete;

  // Control thread.

  /// These are the configured ones; what was set for a while is over. in_force: the log has them already.
  void configure(const config::Config& config, bool in_force);
  /// Other levels for so long; without a time until the next reload.
  void set(const log::Levels& levels, const std::optional<Duration>& lasting);
  /// Changes nothing any more.
  void stop() { loop_.cancel(timer_); }

  /// {"level":"debug","configured":"info","until":"2026-01-01T10:10:00.000000Z"}, where until is null for what is
  /// configured, and "reload" for what has no end of its own. Any thread.
  std::string json() const;

 private:
  void apply(const log::Levels& levels, const std::string& until);

  ControlLoop& loop_;
  ControlLoop::TimerId timer_ = 0;
  log::Format format_ = log::Format::kText;

  mutable std::mutex mutex_;  // guards what follows
  log::Levels configured_;
  log::Levels levels_;
  std::string until_;  // "": as configured
};

/// What a request asks for.
struct LogLevelOrder {
  log::Levels levels;
  std::optional<Duration> lasting;
};

/// Reads "level=debug&for=10m"; the error says what to give.
Result<LogLevelOrder> readLogLevelOrder(const std::string& query);

}  // namespace lemonade::app
