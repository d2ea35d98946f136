// SPDX-License-Identifier: MIT
//
// Health as one counter, after HAProxy: 0 is surely down, rise + fall - 1 surely up, and `rise` is where down ends and
// up begins. A success that reaches rise jumps to the top and a failure that leaves up drops to 0, so that the way back
// is always the whole way.
//
// A plain value, no thread of its own.
#pragma once

#include "config/config.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace lemonade::health {

class RiseAndFall {
 public:
  /// rise and fall count checks in a row, each at least 1.
  RiseAndFall(std::uint32_t rise, std::uint32_t fall, config::Initial initial = config::Initial::kUp) noexcept
      : rise_(rise),
        top_(rise + fall - 1),
        level_(initial == config::Initial::kUp ? top_ : 0),
        first_decides_(initial != config::Initial::kDown) {}

  /// Counts one check and returns up(). The first check of all decides alone, but of what is down for a start.
  bool observe(bool passed) noexcept {
    const bool first = !std::exchange(checked_, true) && first_decides_;
    if (passed) {
      level_ = first ? top_ : std::min(level_ + 1, top_);
      if (level_ == rise_) level_ = top_;
    } else {
      level_ = level_ > rise_ && !first ? level_ - 1 : 0;
    }
    return up();
  }

  /// Takes new numbers: what was up stays up, what was down stays down, and a change half way begins anew.
  void configure(std::uint32_t rise, std::uint32_t fall) noexcept {
    const bool was_up = up();
    rise_ = rise;
    top_ = rise + fall - 1;
    level_ = was_up ? top_ : 0;
  }

  /// Goes on from what another one had come to: surely up or surely down, and checked.
  void resume(bool up) noexcept {
    level_ = up ? top_ : 0;
    checked_ = true;
  }

  bool up() const noexcept { return level_ >= rise_; }
  /// On its way from one side to the other, with part of the checks that take it there.
  bool changing() const noexcept { return level_ != 0 && level_ != top_; }
  bool checked() const noexcept { return checked_; }

 private:
  std::uint32_t rise_;
  std::uint32_t top_;
  std::uint32_t level_;
  bool first_decides_;
  bool checked_ = false;
};

}  // namespace lemonade::health
