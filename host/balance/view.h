// SPDX-License-Identifier: MIT
//
// An immutable set of backends with the strategy that picks from it and what that strategy prepared for it: everything
// a pick reads, behind one pointer. A change of membership, weight, health or strategy makes a new one.
//
// Each tier of priority is a view of its own to the strategy: the same backends, another eligible list.
#pragma once

#include "balance/backend.h"
#include "balance/eligibility.h"
#include "balance/strategy.h"
#include "plugin/options.h"

#include <lemonade/strategy.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lemonade {

/// What a view tells the strategy of the pool that it is of and of the balancer.
struct ViewNames {
  std::string pool;
  std::string zone;  ///< the balancer's own; empty: nobody said
};

class View {
 public:
  using Backends = std::vector<std::shared_ptr<Backend>>;

  class Tier {
   public:
    // Any thread.
    const lemonade_view_t& get() const noexcept { return view_; }
    const void* prepared() const noexcept { return prepared_; }
    bool eligible(std::uint32_t index) const noexcept { return (rows_[index].flags & LEMONADE_BACKEND_ELIGIBLE) != 0; }

   private:
    friend class View;
    std::vector<lemonade_backend_t> rows_;
    std::vector<std::uint32_t> eligible_;
    lemonade_view_t view_{};
    void* prepared_ = nullptr;
  };

  /// Copies what the backends are at this moment (now_ns, for slow starts) and has the strategy prepare. Control
  /// thread.
  View(const Backends& backends, const Eligible& eligible, std::shared_ptr<Strategy> strategy,
       const SlowStart& slow_start, std::uint64_t now_ns, std::uint64_t serial,
       std::shared_ptr<const ViewNames> names = std::make_shared<const ViewNames>());
  /// Has a shadow be asked, too, on its own view. Before it is published; control thread.
  void setShadow(std::unique_ptr<const View> shadow) {
    events_ |= shadow->events_;
    shadow_ = std::move(shadow);
  }
  /// Releases what was prepared. Control thread, after the last worker read it.
  ~View();
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  // Any thread.
  const Strategy& strategy() const noexcept { return *strategy_; }
  /// The same backends as the pool's shadow sees them; null where there is none.
  const View* shadow() const noexcept { return shadow_.get(); }
  /// What the strategy and the shadow want to hear: mask of LEMONADE_EVENT_*.
  std::uint32_t events() const noexcept { return events_; }
  /// In the order in which they are asked; at least one, which is without eligible backends where there are none.
  const std::deque<Tier>& tiers() const noexcept { return tiers_; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(backends_.size()); }
  Backend& backend(std::uint32_t index) const noexcept { return *backends_[index]; }
  /// Backends that may be picked, over all tiers.
  std::uint32_t eligibleCount() const noexcept { return eligible_count_; }
  /// True where a backend had less than its weight, so that the view is out of date before long.
  bool ramping() const noexcept { return ramping_; }

 private:
  lemonade_backend_t row(Backend& backend, const SlowStart& slow_start, std::uint64_t now_ns);
  void addLabels(const config::Backend& settings, lemonade_backend_t& row);
  void addOptions(const config::Backend& settings, lemonade_backend_t& row);
  void addTier(const std::vector<lemonade_backend_t>& rows, std::vector<std::uint32_t> eligible, std::uint64_t serial);
  void prepare(Tier& tier) const;

  const Backends backends_;
  const std::shared_ptr<Strategy> strategy_;
  const std::shared_ptr<const ViewNames> names_;
  // What the rows point to stays where it is: the strategy keeps pointers.
  std::vector<std::shared_ptr<const config::Backend>> settings_;
  std::deque<std::vector<lemonade_label_t>> labels_;
  const plugin::OptionSchema backend_options_;
  std::deque<plugin::OptionSet> option_sets_;
  std::deque<lemonade_options_t> options_;
  std::deque<Tier> tiers_;
  std::unique_ptr<const View> shadow_;
  std::uint32_t eligible_count_ = 0;
  std::uint32_t events_ = 0;
  bool ramping_ = false;
};

}  // namespace lemonade
