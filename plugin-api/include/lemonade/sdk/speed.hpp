// SPDX-License-Identifier: MIT
//
// How fast a backend is, believed only as far as the evidence goes.
//
// The host keeps averages of what a backend took for one exchange, over the last 4, 32 and 256 or so, with how many
// samples each is worth. Backends are compared by the logarithm of these, in which a backend that is twice as slow as
// another is a difference whatever the requests cost. What is usual in the pool (the median) is what is believed of a
// backend of which nothing is known. The longest average moves that belief as far as it is more than chance, then the
// shorter ones move it on, as far as they differ from it by more than chance: of a difference e with standard error s,
//
//   e * max(0, 1 - k / (e / s)^2)       k = 2, 3, 5 from the longest to the shortest
//
// is believed ("non-negative garrote", Breiman 1995; James and Stein's factor for each difference by itself, so that
// one outlier does not teach what to believe of the others). So equals are equals, a small difference counts once there
// are many samples of it, and a large one after a few.
#pragma once

#include <lemonade/strategy.h>

#include <algorithm>
#include <bit>
#include <cstdint>

namespace lemonade::sdk {

/// What is usual in a pool: what a backend is compared with.
struct UsualSpeed {
  float root = 0;          ///< square root of the nanoseconds of one exchange; 0: not known
  float variation = 0.3F;  ///< variance of such square roots of one backend, in squares of their mean
};

/// log2 of a number above 0, at most 0.001 off.
inline float roughLog2(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const float m = std::bit_cast<float>((bits & 0x7fffffu) | 0x3f800000u);
  const float exponent = static_cast<float>(static_cast<std::int32_t>(bits >> 23) - 127);
  return exponent - 2.15362F + m * (3.04788F + m * (-1.05188F + 0.158249F * m));
}

/// 2^x, at most 0.3 % off, and right for whole numbers; of -60 and of 60 where x is beyond.
inline float roughExp2(float x) noexcept {
  const float shifted = std::clamp(x, -60.0F, 60.0F) + 64;
  const auto whole = static_cast<std::uint32_t>(shifted);
  const float part = shifted - static_cast<float>(whole);
  return (1 + part * (0.6565F + 0.3435F * part)) * std::bit_cast<float>((whole + 63) << 23);
}

/// What is believed of one exchange at a backend, as the factor by which it takes longer than is usual; 1 where nothing
/// is known. fade, 0 to 1, is how much of the evidence still counts. [worker]
inline float believedSlowness(const lemonade_backend_speed_t& speed, const UsualSpeed& usual, float fade) noexcept {
  if (!(usual.root > 0) || !(fade > 0)) return 1;
  constexpr float kDoubt[LEMONADE_SPEED_SPANS] = {5, 3, 2};
  constexpr float kSquareOfLog2e = 2.0814F;
  const float chance_of_one = kSquareOfLog2e * usual.variation / fade;
  const float per_usual = 1 / usual.root;
  float believed = 0;  // log2 of roots, in which a difference is half as large
  for (int i = LEMONADE_SPEED_SPANS - 1; i >= 0; --i) {
    const float count = lemonade_load_f32(&speed.count[i]);
    const float root = lemonade_load_f32(&speed.root[i]);
    if (!(count > 0) || !(root > 0)) continue;
    const float difference = roughLog2(root * per_usual) - believed;
    const float square = difference * difference;
    const float believable = square * count - kDoubt[i] * chance_of_one;
    if (believable > 0) believed += difference * believable / (square * count);
  }
  return roughExp2(2 * believed);
}

}  // namespace lemonade::sdk
