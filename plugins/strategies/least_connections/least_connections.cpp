// SPDX-License-Identifier: MIT
//
// Weighted least connections: the backend that would have the fewest sessions for each unit of weight if this one came
// too. Equals take turns by weight.
//
// With zone_aware the backends of the balancer's own zone go first, and of them the one with the fewest. Another one is
// picked where none of the own zone takes the connection, or where that one has more than zone_tolerance times the
// sessions, for its weight, of the best elsewhere; see docs/decisions/0073-own-zone-first.md.
//
// With learn_weights the speed that a backend has shown counts as part of its weight.
#include <lemonade/sdk/candidates.hpp>
#include <lemonade/sdk/learned_weights.hpp>
#include <lemonade/sdk/reasons.hpp>
#include <lemonade/sdk/zones.hpp>

namespace {

namespace sdk = lemonade::sdk;

/// The candidates of a view: those of the own zone, if there are such, and the others.
struct Groups {
  Groups(sdk::View view, const sdk::ZoneSplit& split)
      : near(view, split.near()), far(view, split.far()), taken(split.taken()) {}
  Groups(sdk::View view, const sdk::ZoneSplit& split, sdk::LearnedSpeeds& speeds)
      : near(view, split.near()),
        far(view, split.far()),
        taken(split.taken()),
        learned_near(view, near, speeds),
        learned_far(view, far, speeds) {}

  const sdk::Candidates near;
  const sdk::Candidates far;
  const std::uint32_t taken;  ///< see ZoneSplit
  const sdk::LearnedWeights learned_near, learned_far;
};

class LeastConnections : public sdk::Strategy {
 public:
  using Prepared = Groups;

  static constexpr lemonade_option_t kOptions[] = {
      sdk::kZoneAware,
      sdk::option(
          "zone_tolerance", LEMONADE_OPTION_NUMBER, "4",
          "How many times the sessions of the best backend elsewhere, for its weight, one of the balancer's own "
          "zone may have and still be preferred.",
          1, 1'000'000),
      sdk::kLearnWeights,
  };

  explicit LeastConnections(const sdk::Options& options)
      : zones_{options.boolean("zone_aware"), options.number("zone_tolerance")},
        learns_(options.boolean("learn_weights")) {}

  std::unique_ptr<Groups> prepare(sdk::View view) {
    const sdk::ZoneSplit split(view, zones_.aware);
    return learns_ ? std::make_unique<Groups>(view, split, speeds_) : std::make_unique<Groups>(view, split);
  }

  std::uint32_t pick(const sdk::Pick<Groups>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    if (learns_) [[unlikely]]
      return learned(pick);
    const std::uint32_t near = least(pick.prepared->near, pick.connection, turn_);
    return pick.prepared->far.size() == 0 ? near : nearOrFar(pick, near);
  }

  void why(const sdk::Pick<Groups>& pick, std::uint32_t index, sdk::Reason& reason) noexcept {
    char room[64];
    sdk::Reason among{room};
    if (pick.prepared == nullptr) return;
    const bool near = pick.prepared->far.size() != 0 && pick.view.isNear(index);
    const bool zoned = near || pick.prepared->far.size() != 0;
    sdk::explainAmong(zoned && !near ? pick.prepared->far.size() : pick.prepared->near.size(), among);
    sdk::explainLoad(pick, index, among.text(), reason);
    if (learns_) {
      const bool here = near || !zoned;
      const auto& candidates = here ? pick.prepared->near : pick.prepared->far;
      const auto& learned = here ? pick.prepared->learned_near : pick.prepared->learned_far;
      sdk::explainSpeed(learned, candidates.positionOf(index), reason);
    }
    if (zoned) reason.add(near ? " of the own zone" : " of other zones");
  }

 private:
  // (a + 1) / v and (b + 1) / w that are equal may differ in their last bits; unequal ones differ by more than this as
  // long as there are fewer than millions of sessions.
  static constexpr double kRounding = 1 + 0x1p-48;

  static std::uint32_t least(const sdk::Candidates& candidates, const lemonade_connection_t& connection,
                             std::atomic<std::uint32_t>& turn) noexcept {
    return candidates.least(connection, kRounding, turn, [&](std::uint32_t position, std::uint32_t active) {
      return candidates[position].load(active);
    });
  }

  /// The same with learned weights.
  [[gnu::noinline]] std::uint32_t learned(const sdk::Pick<Groups>& pick) noexcept {
    const Groups& groups = *pick.prepared;
    groups.learned_near.renew(pick.connection.now_ns);
    groups.learned_far.renew(pick.connection.now_ns);
    const std::uint32_t near = least(groups.near, groups.learned_near, pick.connection, turn_);
    if (groups.far.size() == 0) return near;
    const std::uint32_t far = least(groups.far, groups.learned_far, pick.connection, far_turn_);
    if (near == LEMONADE_PICK_NONE || far == LEMONADE_PICK_NONE) return near == LEMONADE_PICK_NONE ? far : near;
    const double here = load(groups.near, near) / groups.learned_near[groups.near.positionOf(near)];
    const double there = load(groups.far, far) / groups.learned_far[groups.far.positionOf(far)];
    return sdk::standsBack(groups.taken, pick.connection) || here > zones_.tolerance * there ? far : near;
  }

  static std::uint32_t least(const sdk::Candidates& candidates, const sdk::LearnedWeights& weights,
                             const lemonade_connection_t& connection, std::atomic<std::uint32_t>& turn) noexcept {
    return candidates.least(connection, kRounding, turn, [&](std::uint32_t position, std::uint32_t active) {
      return candidates[position].load(active) / weights[position];
    });
  }

  static double load(const sdk::Candidates& candidates, std::uint32_t index) noexcept {
    const sdk::Candidate& candidate = candidates[candidates.positionOf(index)];
    return candidate.load(candidate.active());
  }

  /// What pick answers where the best of the own zone is `near`. Apart, so that picks without zones do not carry its
  /// registers.
  [[gnu::noinline]] std::uint32_t nearOrFar(const sdk::Pick<Groups>& pick, std::uint32_t near) noexcept {
    const Groups& groups = *pick.prepared;
    std::atomic<std::uint32_t> turn{far_turn_.load(std::memory_order_relaxed)};  // is taken where far is picked
    const std::uint32_t far = least(groups.far, pick.connection, turn);
    if (far == LEMONADE_PICK_NONE) return near;
    const bool worse = near == LEMONADE_PICK_NONE || sdk::standsBack(groups.taken, pick.connection) ||
                       load(groups.near, near) > zones_.tolerance * load(groups.far, far);
    if (!worse) return near;
    far_turn_.store(turn.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return far;
  }

  const sdk::ZonePreference zones_;
  const bool learns_;
  sdk::LearnedSpeeds speeds_;  // control thread
  std::atomic<std::uint32_t> turn_{0};
  std::atomic<std::uint32_t> far_turn_{0};
};

}  // namespace

LEMONADE_STRATEGY(LeastConnections, .id = "least_connections", .version = "1.0.0", .name = "Least connections",
                  .vendor = "Lemonade",
                  .doc =
                      "Picks the backend with the fewest sessions for its weight; compares up to 16 backends, and in "
                      "larger pools some drawn by weight.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
