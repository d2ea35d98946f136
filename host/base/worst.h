// SPDX-License-Identifier: MIT
//
// The largest of the values that were noted of late: a number that a scrape every few seconds cannot miss, however
// short the moment was. Noting is a load and a compare; a store where it is a new maximum.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace lemonade {

class Worst {
 public:
  /// What was noted is remembered for one to two of these.
  static constexpr std::uint64_t kWindowNs = 30'000'000'000;

  /// value is below 2^44, more counts as that much. The one noting thread.
  void note(std::uint64_t now_ns, std::uint64_t value) noexcept {
    const std::uint64_t window = now_ns / kWindowNs;
    auto& cell = cells_[window % 2];
    const std::uint64_t noted = std::min(value, kMostValue);
    if (noted > in(cell, window)) cell.store(((window & kMostWindow) << kValueBits) | noted, std::memory_order_relaxed);
  }

  /// The largest that was noted in this window and in the one before; 0: nothing was. Any thread.
  std::uint64_t of(std::uint64_t now_ns) const noexcept {
    const std::uint64_t window = now_ns / kWindowNs;
    return std::max(in(cells_[window % 2], window), window == 0 ? 0 : in(cells_[(window - 1) % 2], window - 1));
  }

 private:
  // A cell is the number of its window, as far as it fits, and the largest value of that.
  static constexpr unsigned kValueBits = 44;
  static constexpr std::uint64_t kMostValue = (std::uint64_t{1} << kValueBits) - 1;
  static constexpr std::uint64_t kMostWindow = (std::uint64_t{1} << (64 - kValueBits)) - 1;

  static std::uint64_t in(const std::atomic<std::uint64_t>& cell, std::uint64_t window) noexcept {
    const std::uint64_t both = cell.load(std::memory_order_relaxed);
    return both >> kValueBits == (window & kMostWindow) ? both & kMostValue : 0;
  }

  std::atomic<std::uint64_t> cells_[2]{};
};

}  // namespace lemonade
