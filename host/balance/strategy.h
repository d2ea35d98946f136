// SPDX-License-Identifier: MIT
//
// A strategy in use: the plugin instance with one lane for each worker. Views hold it; when the last view of a
// generation is reclaimed its lanes and its instance go with it.
#pragma once

#include "balance/per_worker.h"
#include "base/result.h"
#include "plugin/instance.h"

#include <lemonade/strategy.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace lemonade {

class Strategy {
 public:
  using Instance = plugin::Instance<lemonade_strategy_t>;

  /// Makes the lanes. Fails with the plugin's own words. Control thread, as everything here but self(), lane() and
  /// needs().
  static Result<std::shared_ptr<Strategy>> make(Instance instance, std::uint32_t workers);
  ~Strategy();

  /// Makes lanes for so many workers, where it has fewer. Fails with the plugin's own words.
  Status addLanes(std::uint32_t workers);

  /// What one generation hands to the next: the name and version of the format, and the bytes.
  struct State {
    std::string format;
    std::string bytes;
  };
  /// Nothing where the plugin exports none, could not, which is logged, or is broken.
  std::optional<State> exportState() const;
  /// Fails where the plugin refuses a state of a format that it knows.
  Status importState(const State& state);
  /// Has this strategy import the state that previous exports, where both can and the format is known to it. Fails
  /// where it refuses a state of its own format.
  Status takeOver(const Strategy& previous);
  Strategy(const Strategy&) = delete;
  Strategy& operator=(const Strategy&) = delete;

  const lemonade_strategy_t& table() const noexcept { return instance_.table(); }
  void* self() const noexcept { return instance_.self(); }
  void* lane(std::uint32_t worker) const noexcept { return lanes_[worker].lane; }
  const plugin::InstanceInfo& info() const noexcept { return instance_.info(); }
  /// Every call of the table goes through it. Any thread.
  plugin::Guard& guard() const noexcept { return instance_.guard(); }
  /// Of so many picks of a worker one that gives no backend though there is one is believed, and the host chooses in
  /// the place of the others; 0, as at first: all are believed, as they are of one that needs LEMONADE_NEED_REFUSALS.
  /// Any thread.
  void believeOneIn(std::uint32_t picks) noexcept { believes_one_in_.store(picks, std::memory_order_relaxed); }
  std::uint32_t believesOneIn() const noexcept {
    return (needs_ & LEMONADE_NEED_REFUSALS) != 0 ? 0 : believes_one_in_.load(std::memory_order_relaxed);
  }
  /// What it needs of each connection: mask of LEMONADE_NEED_*, 0 where it was built with ABI 1.0.
  std::uint32_t needs() const noexcept { return needs_; }
  /// Its why, null where it says nothing or was built before there was one. Any thread.
  decltype(lemonade_strategy_t::why) why() const noexcept { return why_; }

 private:
  struct Lane {
    void* lane = nullptr;
  };

  explicit Strategy(Instance instance);
  Status makeLane(std::uint32_t worker, void*& lane);
  void endLane(void* lane) noexcept;
  std::string brokenOff() const;

  Instance instance_;
  const std::uint32_t needs_;
  const decltype(lemonade_strategy_t::why) why_;
  std::atomic<std::uint32_t> believes_one_in_{0};
  PerWorker<Lane> lanes_;
};

}  // namespace lemonade
