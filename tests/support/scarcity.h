// SPDX-License-Identifier: MIT
//
// A balancer that finds no memory now and then, as long as the test wants it: e2e_scarcity is loaded before it and
// shares with the test the page that says how often what fails.
#pragma once

#include <atomic>
#include <cstdint>

namespace lemonade::test {

/// One page, shared between a test and the balancer it started. All zero: nothing fails.
struct Scarcity {
  std::atomic<std::uint32_t> memory_one_in;  ///< of so many allocations, one fails on average; 0: none
  std::atomic<std::uint32_t> calls_one_in;   ///< the same of the system calls that need memory: they say ENOMEM
  std::atomic<std::uint32_t> workers_only;   ///< not 0: on the threads of the workers alone
  std::atomic<std::uint64_t> failed;         ///< allocations and calls that failed so far
};

/// The environment variable that names the file with the page.
constexpr const char* kScarcityVariable = "LEMONADE_TEST_SCARCITY";

}  // namespace lemonade::test
