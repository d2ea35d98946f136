// SPDX-License-Identifier: MIT
//
// Holds the sessions to what the descriptor limit allows, also where somebody changes the limit or something else than
// a session uses descriptors up. Some spare descriptors are held open; when no other can be had they are given up, for
// the admin listener, checks, names and reloads, and no more clients are let in than there are. Both ends when the
// spare ones can be had again.
//
// Control thread.
#pragma once

#include "base/control_loop.h"
#include "base/fd.h"
#include "process/descriptor_budget.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace lemonade {

class DescriptorKeeper {
 public:
  struct Sessions {
    std::function<std::uint32_t()> count;       ///< how many there are now
    std::function<void(std::uint32_t)> holdTo;  ///< how many there may be at most
    std::function<void()> holdToPresent;        ///< no more than there are, until holdTo is called
  };

  /// open: see shareOut().
  DescriptorKeeper(ControlLoop& loop, std::uint64_t open, Sessions sessions);
  DescriptorKeeper(const DescriptorKeeper&) = delete;
  DescriptorKeeper& operator=(const DescriptorKeeper&) = delete;

  /// Shares out what there is under this configuration. Starts to look every second.
  void configure(const config::Config& config);
  /// Somebody is about to open so many descriptors, until expect(0): where they cannot be had the spare ones are given
  /// up now, and not taken again before they can be had besides.
  void expect(std::uint64_t count);
  /// Looks no more, and gives the spare ones back. Before the end of this.
  void stop();

 private:
  void look();
  void share();
  void followLimit();
  bool refill();
  void giveUp();

  ControlLoop& loop_;
  const std::uint64_t open_;
  const Sessions sessions_;
  config::Config config_;
  DescriptorBudget budget_;
  std::uint64_t expected_ = 0;
  std::vector<Fd> spare_;
  bool short_of_ = false;
  std::uint64_t complained_at_ = 0;
  ControlLoop::TimerId timer_ = 0;
};

}  // namespace lemonade
