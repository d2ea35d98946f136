// SPDX-License-Identifier: MIT
//
// What adaptive says when it is asked why.
#pragma once

#include <lemonade/sdk/reasons.hpp>

namespace {

template <class Pick>
void explainAdaptive(const Pick& pick, std::uint32_t index, lemonade::sdk::Reason& reason) noexcept {
  lemonade::sdk::explainLatency(pick, index, reason);
}

}  // namespace
