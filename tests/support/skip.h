// SPDX-License-Identifier: MIT
//
// Tests that cannot be shown on this machine are skipped, visibly: they say why, and where a binary ran nothing else it
// exits with kSkippedCode, which ctest shows as "Skipped". Catch2 v2 has no word for that.
#pragma once

#include <string>
#include <utility>

namespace lemonade::test {

constexpr int kSkippedCode = 77;

/// Ends a test that shows nothing here. main.cpp catches it.
struct Skipped {
  std::string reason;
};

/// Ends the test that calls it. Any thread that hands on what it catches.
[[noreturn]] inline void skip(std::string reason) { throw Skipped{std::move(reason)}; }

}  // namespace lemonade::test
