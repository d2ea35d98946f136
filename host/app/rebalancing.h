// SPDX-License-Identifier: MIT
//
// Closes quiet sessions of one pool: where backends have far more than their share (balance/rebalance.h decides), and
// those that are too old. Only looks while the pool is told to, while two backends may be picked, not in a panic, and
// while no client waits for a place. Control thread only, but for what is marked "any thread".
#pragma once

#include "balance/rebalance.h"
#include "base/clock.h"
#include "base/control_loop.h"
#include "config/config.h"
#include "observe/status.h"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lemonade {
class Pool;
}  // namespace lemonade

namespace lemonade::app {

class PoolHost;

class Rebalancing {
 public:
  /// All of these must outlive it.
  Rebalancing(ControlLoop& loop, Pool& pool, PoolHost& host) : loop_(loop), pool_(pool), host_(host) {}
  /// After end().
  ~Rebalancing() = default;
  Rebalancing(const Rebalancing&) = delete;
  Rebalancing& operator=(const Rebalancing&) = delete;

  void configure(const config::Pool& config);
  /// Closes nothing more.
  void end();

  /// Nothing where it is off; without what is counted. Any thread.
  std::optional<RebalanceStatus> status() const;

 private:
  bool isPossible() const;
  std::vector<BackendShare> shares() const;
  std::uint64_t parted() const noexcept;
  void look();
  void lookAtAges();
  void tell(Rebalance::State before, const std::vector<BackendShare>& shares);

  ControlLoop& loop_;
  Pool& pool_;
  PoolHost& host_;
  Rebalance rebalance_;
  ControlLoop::TimerId looking_ = 0;
  ControlLoop::TimerId looking_at_ages_ = 0;

  // Any thread.
  std::atomic<bool> on_{false};
  std::atomic<Rebalance::State> state_{Rebalance::State::kEven};
  std::atomic<std::uint64_t> quiet_ns_{0};
  std::atomic<std::uint64_t> max_age_ns_{0};  // 0: none
};

}  // namespace lemonade::app
