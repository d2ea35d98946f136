// SPDX-License-Identifier: MIT
//
// What the picks of a new strategy come to, against those of the one before: whether it is taken back. Pure functions
// on plain values.
#pragma once

#include "balance/histogram.h"

#include <cstdint>
#include <string>

namespace lemonade {
class Pool;
}

namespace lemonade::app {

/// What was counted of picks, over all workers; of all times, or between two of those.
struct PickFacts {
  std::uint64_t picks = 0;
  std::uint64_t unusable = 0;  ///< answers that the host could not use
  std::uint64_t declined = 0;  ///< NONE and REJECT while a backend could have been given
  Histogram::Sum times;        ///< of those that were timed

  PickFacts operator-(const PickFacts& before) const noexcept;
  PickFacts operator+(const PickFacts& more) const noexcept;
};

/// Of a pool until now. Control thread.
PickFacts pickFactsOf(const Pool& pool);

/// Of so many picks of a worker one is believed that gives no backend though there was one, see Strategy; 0: all are,
/// as more of them would not have a strategy taken back. before: of the generation before.
std::uint32_t believedOneIn(const PickFacts& before) noexcept;

/// So many picks have to be there for a judgement.
inline constexpr std::uint64_t kPicksToJudge = 100;

/// Why a strategy is taken back, with the numbers; "" where it is not, or not yet. now: all of its picks were timed.
/// before: of the generation before.
std::string judge(const PickFacts& before, const PickFacts& now);

}  // namespace lemonade::app
