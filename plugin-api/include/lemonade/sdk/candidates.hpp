// SPDX-License-Identifier: MIT
//
// For strategies that compare live numbers: the eligible backends of a view, packed for scanning, and the few of them
// that one pick looks at.
//
// Up to 16 backends are all compared. Beyond that a pick draws three by weight and compares those ("power of two
// choices", Mitzenmacher 2001): nearly as good as the global best, in constant time, and workers that all look at the
// same moment do not all run to the same backend.
#pragma once

#include <lemonade/sdk/sampling.hpp>
#include <lemonade/sdk/smooth_order.hpp>
#include <lemonade/sdk/strategy.hpp>

#include <array>
#include <limits>

namespace lemonade::sdk {

/// An eligible backend, as it stays while the view lives.
struct Candidate {
  const lemonade_backend_stats_t* stats;
  std::uint32_t index;            ///< in the view: what pick answers
  std::uint32_t weight;           ///< effective, 1000 for each unit of the configured one; above 0
  std::uint32_t max_connections;  ///< 2^32 - 1 where there is no limit
  double load_per_session;        ///< 1 / weight in configured units

  std::uint32_t active() const noexcept { return lemonade_load_u32(&stats->active); }
};

/// The candidates that one pick compares; never one that was tried or is at its limit. A local object of pick.
class Shortlist {
 public:
  static constexpr std::uint32_t kCapacity = 16;

  struct Entry {
    const Candidate* candidate;
    double load;           ///< sessions for each unit of weight if this connection came too: (active + 1) / weight
    std::uint32_t active;  ///< as it was when looked at
  };

  std::uint32_t size() const noexcept { return size_; }
  const Entry& operator[](std::uint32_t slot) const noexcept { return entries_[slot]; }

 private:
  friend class Candidates;
  std::uint32_t size_ = 0;
  std::array<Entry, kCapacity> entries_;
};

/// The eligible backends of a view. Constant after construction, valid as long as the view.
class Candidates {
 public:
  /// Allocates. [control]
  explicit Candidates(View view) {
    std::vector<std::uint32_t> weights;
    all_.reserve(view.eligible().size());
    weights.reserve(view.eligible().size());
    for (const auto index : view.eligible()) {
      const auto& backend = view[index];
      if (backend.effective_weight == 0) continue;
      const auto limit =
          backend.max_connections == 0 ? std::numeric_limits<std::uint32_t>::max() : backend.max_connections;
      all_.push_back({backend.stats, index, backend.effective_weight, limit, 1000.0 / backend.effective_weight});
      weights.push_back(backend.effective_weight);
    }
    if (small())
      rotation_ = Rotation(weights);
    else
      sampler_ = WeightedSampler(weights);
  }

  /// True where picks compare all candidates, not a few drawn ones.
  bool small() const noexcept { return all_.size() <= Shortlist::kCapacity; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(all_.size()); }
  const Candidate& operator[](std::uint32_t position) const noexcept { return all_[position]; }
  std::uint32_t positionOf(const Candidate& candidate) const noexcept {
    return static_cast<std::uint32_t>(&candidate - all_.data());
  }

  /// Writes the candidates to compare for a connection to `list`, which must be new; none where none may be picked.
  /// [worker]
  void shortlist(const lemonade_connection_t& connection, Shortlist& list) const noexcept {
    const std::span<const std::uint32_t> tried(connection.tried, connection.tried_count);
    std::uint32_t size = 0;
    if (small()) {
      for (const auto& candidate : all_) size = consider(candidate, tried, list, size);
    } else {
      for (std::uint32_t n = 0; n < kMostDraws && size < kDraws; ++n) {
        const auto& candidate = all_[sampler_.draw(nthRandom(connection.random, n))];
        if (!listed(candidate, list, size)) size = consider(candidate, tried, list, size);
      }
      if (size == 0) size = search(connection, tried, list);
    }
    list.size_ = size;
  }

  /// The answer of a pick that found several slots of the list equally good (bit i stands for slot i; at least one):
  /// they take turns by weight. `place` is where the turns have come to, kept by the strategy. [worker]
  std::uint32_t settle(const Shortlist& list, std::uint32_t slots, std::atomic<std::uint32_t>& place) const noexcept {
    // What was drawn is in random order already.
    if (std::has_single_bit(slots) || !small()) return list[lowest(slots)].candidate->index;
    if (list.size() == size()) return all_[rotation_.next(slots, place)].index;
    std::uint32_t positions = 0;
    for (; slots != 0; slots &= slots - 1) positions |= 1u << positionOf(*list[lowest(slots)].candidate);
    return all_[rotation_.next(positions, place)].index;
  }

 private:
  static constexpr std::uint32_t kDraws = 3;
  static constexpr std::uint32_t kMostDraws = 8;

  static std::uint32_t lowest(std::uint32_t bits) noexcept {
    return static_cast<std::uint32_t>(std::countr_zero(bits));
  }

  static bool listed(const Candidate& candidate, const Shortlist& list, std::uint32_t size) noexcept {
    for (std::uint32_t slot = 0; slot < size; ++slot)
      if (list.entries_[slot].candidate == &candidate) return true;
    return false;
  }

  /// Appends a candidate that may be picked; returns how many there are now. Hot: without a branch on the limit.
  static std::uint32_t consider(const Candidate& candidate, std::span<const std::uint32_t> tried, Shortlist& list,
                                std::uint32_t size) noexcept {
    for (const auto index : tried)
      if (index == candidate.index) return size;
    const std::uint32_t active = candidate.active();
    list.entries_[size] = {&candidate, (static_cast<double>(active) + 1) * candidate.load_per_session, active};
    return size + static_cast<std::uint32_t>(active < candidate.max_connections);
  }

  /// Fills the list with what can be found at all, from a random place on: nearly all are full.
  std::uint32_t search(const lemonade_connection_t& connection, std::span<const std::uint32_t> tried,
                       Shortlist& list) const noexcept {
    auto at = static_cast<std::size_t>((connection.random >> 32) * all_.size() >> 32);
    std::uint32_t size = 0;
    for (std::size_t n = 0; n < all_.size() && size < Shortlist::kCapacity; ++n) {
      size = consider(all_[at], tried, list, size);
      if (++at == all_.size()) at = 0;
    }
    return size;
  }

  std::vector<Candidate> all_;
  Rotation rotation_;        // of a small pool
  WeightedSampler sampler_;  // of a large one
};

/// The first eligible backend, from a random place on, that the connection may be given, else LEMONADE_PICK_NONE. For
/// the rare pick that has nothing better, such as one without a prepared object. [worker]
template <class Prepared, class Lane>
std::uint32_t anyAllowed(const Pick<Prepared, Lane>& pick) noexcept {
  const auto eligible = pick.view.eligible();
  const auto start = static_cast<std::size_t>((pick.connection.random >> 32) * eligible.size() >> 32);
  for (std::size_t i = 0; i < eligible.size(); ++i) {
    const auto place = start + i < eligible.size() ? start + i : start + i - eligible.size();
    if (pick.allowed(eligible[place])) return eligible[place];
  }
  return LEMONADE_PICK_NONE;
}

}  // namespace lemonade::sdk
