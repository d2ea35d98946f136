// SPDX-License-Identifier: MIT
//
// For strategies that prefer the backends of the balancer's own zone: which those are, and when one of them is worse
// than a backend elsewhere. Each tier of priority is divided for itself.
#pragma once

#include <lemonade/sdk/sampling.hpp>
#include <lemonade/sdk/strategy.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace lemonade::sdk {

/// Row of the option schema: whether to prefer them at all.
inline constexpr lemonade_option_t kZoneAware =
    option("zone_aware", LEMONADE_OPTION_BOOLEAN, "false",
           "Prefers backends of the balancer's own zone, [runtime] zone, while they are not worse than the others.");

/// What a strategy was told of zones.
struct ZonePreference {
  bool aware = false;
  double tolerance = 1;  ///< how many times worse a backend of the own zone may be, 1 or more
};

/// The eligible backends of a view in two groups: those of the balancer's own zone and the others. Constant after
/// construction.
class ZoneSplit {
 public:
  /// Without `aware`, and where either group would be empty, all are in the first group. Allocates. [control]
  ZoneSplit(View view, bool aware) {
    for (const auto index : view.eligible()) (aware && !view.isNear(index) ? far_ : near_).push_back(index);
    if (near_.empty()) near_.swap(far_);
    double most = 0;  // of its weight that any of them has
    for (const auto index : near_)
      if (view[index].weight != 0) most = std::max(most, view[index].effective_weight / (1000.0 * view[index].weight));
    if (most < 1) taken_ = static_cast<std::uint32_t>(most * 0x1p32);
  }

  /// Indices in the view, ascending.
  std::span<const std::uint32_t> near() const noexcept { return near_; }
  std::span<const std::uint32_t> far() const noexcept { return far_; }

  /// In how many of 2^32 picks the own zone takes part: a slow start of all its backends holds it back as it does one
  /// backend. 2^32 - 1: in all.
  std::uint32_t taken() const noexcept { return taken_; }

 private:
  std::vector<std::uint32_t> near_, far_;
  std::uint32_t taken_ = 0xffffffff;
};

/// True where the own zone stands back from this pick for a slow start. [worker]
inline bool standsBack(std::uint32_t taken, const lemonade_connection_t& connection) noexcept {
  constexpr std::uint32_t kDraw = 64;  // of the random numbers of a pick; Candidates takes those before
  return taken != 0xffffffff && static_cast<std::uint32_t>(nthRandom(connection.random, kDraw)) >= taken;
}

}  // namespace lemonade::sdk
