// SPDX-License-Identifier: MIT
//
// How a pool's shadow (balance/shadow.h) compares with the strategy that decides: how often both gave the same backend,
// where each sent what, and the mean of what the exchanges of those backends then took.
//
// What a backend takes is the mean of its exchanges of the last seconds, at each look; the picks since the look before
// weigh it. Over seconds, since the answer to a pick ends in a later look as often as not. Picks of a backend that has
// answered nothing of late wait for its next answers. What would have been different under
// the shadow, such as the load that makes a backend slow, nobody can tell.
//
// Any thread.
#pragma once

#include "balance/pool.h"
#include "base/clock.h"
#include "plugin/instance.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace lemonade {

/// What one of the two came to.
struct ShadowSide {
  plugin::InstanceInfo plugin;
  std::uint64_t weighed_picks = 0;  ///< picks whose backends have answered since
  double weighed_seconds = 0;       ///< what the exchanges of these backends took, added up over these picks

  /// 0 without such picks.
  double meanMs() const noexcept {
    return weighed_picks == 0 ? 0 : 1e3 * weighed_seconds / static_cast<double>(weighed_picks);
  }
};

struct ShadowBackend {
  std::string id;
  std::string name;
  std::string address;
  std::uint64_t strategy_picks = 0;
  std::uint64_t shadow_picks = 0;
  double mean_ms = 0;  ///< of its exchanges since the comparison began; 0: there was none
};

struct ShadowStatus {
  std::string pool;
  std::uint64_t since_unix_ns = 0;
  std::uint64_t same = 0;   ///< picks for which both had the same backend
  std::uint64_t other = 0;  ///< the shadow had another one
  std::uint64_t none = 0;   ///< the shadow had none
  ShadowSide strategy;
  ShadowSide shadow;
  std::vector<ShadowBackend> backends;  ///< those that the pool has now

  std::uint64_t picks() const noexcept { return same + other + none; }
  /// Of the picks, 0 to 1.
  double differedShare() const noexcept {
    return picks() == 0 ? 0 : static_cast<double>(other + none) / static_cast<double>(picks());
  }
};

class Comparison {
 public:
  /// Begins now. The pool must outlive it; these are the two that run there.
  Comparison(const Pool& pool, plugin::InstanceInfo strategy, plugin::InstanceInfo shadow, std::uint64_t unix_ns);

  /// True where it is of these two instances.
  bool isOf(const plugin::InstanceInfo& strategy, const plugin::InstanceInfo& shadow) const noexcept;
  /// Weighs what has come since the last look. now_ns is monotonic.
  void look(std::uint64_t now_ns = nowNs());
  /// Up to now.
  ShadowStatus status(std::uint64_t now_ns = nowNs());

 private:
  struct Counts {
    std::uint64_t strategy_picks = 0, shadow_picks = 0, exchanges = 0, exchange_ns = 0;
  };
  struct Watched {
    Counts began, seen;
    double late_exchanges = 0, late_seconds = 0;             // of exchanges, which fade with time
    std::uint64_t waiting_strategy = 0, waiting_shadow = 0;  // picks that no exchange has weighed yet
  };

  static Counts countsOf(const Backend& backend) noexcept;
  void addPicks(ShadowStatus& sum) const noexcept;
  void lookLocked(const View::Backends& backends, std::uint64_t now_ns);

  const Pool& pool_;
  ShadowStatus before_;  // what the pool had counted when this began

  std::mutex mutex_;  // guards what follows
  std::uint64_t looked_ns_ = 0;
  ShadowStatus sum_;                                    // without picks and backends
  std::unordered_map<std::uint64_t, Watched> watched_;  // by identity
};

}  // namespace lemonade
