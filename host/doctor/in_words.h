// SPDX-License-Identifier: MIT
//
// Numbers as the report writes them.
#pragma once

#include "base/clock.h"

#include <chrono>
#include <cstdio>
#include <string>

namespace lemonade::doctor {

/// "0.12 ms", "35 ms", "2.1 s".
inline std::string inWords(Duration time) {
  const double ms = std::chrono::duration<double, std::milli>(time).count();
  char text[32];
  if (ms >= 1'000)
    std::snprintf(text, sizeof(text), "%.1f s", ms / 1'000);
  else
    std::snprintf(text, sizeof(text), ms < 10 ? "%.2f ms" : "%.0f ms", ms);
  return text;
}

}  // namespace lemonade::doctor
