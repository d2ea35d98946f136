// SPDX-License-Identifier: MIT
//
// What this process has from those before it, whose place it took at upgrades: totals that its own are added to, and
// what was known of backends, which each of them takes over when it is there. As long as a process before it drains,
// newer totals come in.
//
// Control thread, but for what is said to be for any.
#pragma once

#include "balance/view.h"
#include "base/clock.h"
#include "health/ejector.h"
#include "health/monitor.h"
#include "plugin/metric_cells.h"
#include "upgrade/handover.h"

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace lemonade {

class Heritage {
 public:
  explicit Heritage(plugin::MetricCells& cells) : cells_(cells) {}
  Heritage(const Heritage&) = delete;
  Heritage& operator=(const Heritage&) = delete;

  /// There is a process before this one, which drains or will; handover is what it has handed over, null where that
  /// could not be had.
  void begin(std::unique_ptr<Handover> handover);
  /// Backends of which something is known and that have not taken it over yet do so. After monitor and ejector have
  /// them; returns how many there were.
  std::size_t adopt(const View::Backends& backends, health::Monitor& monitor, health::Ejector& ejector);
  /// What the process before has counted by now.
  void update(const Handover& handover, const View::Backends& backends);
  /// The process before has ended, or is heard no more.
  void end();

  /// Waits until the process before answers no requests any more, a few seconds at most: what it told last would be
  /// more than is known here. Any thread.
  void awaitLatest() const;
  /// Of all processes before this one; does not change. Any thread.
  std::shared_ptr<const ProcessTotals> totals() const;
  /// How many configurations these processes had. Any thread.
  std::uint64_t generations() const noexcept { return generations_.load(std::memory_order_relaxed); }
  /// How many processes before this one still drain, and the sessions that they have. Any thread.
  std::uint32_t processes() const noexcept { return processes_.load(std::memory_order_relaxed); }
  std::uint64_t sessions() const noexcept { return sessions_.load(std::memory_order_relaxed); }

 private:
  void take(const Handover& handover);
  void setTotals(std::shared_ptr<const ProcessTotals> totals);
  void settle();

  plugin::MetricCells& cells_;
  mutable std::mutex mutex_;
  std::shared_ptr<const ProcessTotals> totals_ = std::make_shared<const ProcessTotals>();  // guarded by mutex_
  std::atomic<std::uint64_t> generations_{0};
  std::atomic<std::uint32_t> processes_{0};
  std::atomic<std::uint64_t> sessions_{0};
  std::unordered_map<std::uint64_t, BackendState> states_;  // by identity, those that nobody has taken over yet
  std::atomic<std::uint64_t> settles_ns_{0};                // 0: there is nothing to wait for
  std::promise<void> settled_;
  const std::shared_future<void> is_settled_ = settled_.get_future().share();
};

/// What is known of a backend now, for another process. Control thread.
BackendState stateOf(Backend& backend, const health::Monitor& monitor, const health::Ejector& ejector);

}  // namespace lemonade
