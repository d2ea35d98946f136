// SPDX-License-Identifier: MIT
//
// What controls the floating-point unit of a thread: how numbers are rounded, whether the smallest become zero, and
// what raises a signal. Without the bits that only report. A plain value.
#pragma once

#include "plugin/process_change.h"

#include <cstdint>
#include <vector>

namespace lemonade::plugin {

struct FloatControl {
  std::uint32_t vector = 0;  ///< MXCSR; FPCR
  std::uint32_t x87 = 0;

  /// That of the calling thread.
  static FloatControl now() noexcept;
  /// Has the calling thread use it.
  void use() const noexcept;

  /// What is not the same in a later one; empty where all is.
  std::vector<ProcessChange> changesIn(const FloatControl& later) const;

  friend bool operator==(const FloatControl&, const FloatControl&) = default;
};

}  // namespace lemonade::plugin
