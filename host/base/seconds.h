// SPDX-License-Identifier: MIT
//
// A length of time as the log shows it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace lemonade {

/// "2.3s" of nanoseconds.
inline std::string secondsText(std::uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1fs", static_cast<double>(ns) / 1e9);
  return text;
}

}  // namespace lemonade
