// SPDX-License-Identifier: MIT
//
// For strategies that compare live numbers: the eligible backends of a view, packed for scanning, and the few of them
// that one pick looks at.
//
// Up to 16 backends are all compared. Beyond that a pick draws three by weight, up to eight while none of them is idle,
// and compares those ("power of two choices", Mitzenmacher 2001; an idle one is worth looking for: Lu et al., "Join
// idle queue", 2011): nearly as good as the global best, in constant time, and workers that all look at the same moment
// do not all run to the same backend.
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
  std::uint32_t max_connections;  ///< 2^32 - 1 where there is no limit
  double load_per_session;        ///< 1 / weight, slow start included

  std::uint32_t active() const noexcept { return lemonade_load_u32(&stats->active); }
  /// Sessions for each unit of weight if one more came.
  double load(std::uint32_t active) const noexcept { return (static_cast<double>(active) + 1) * load_per_session; }
};

/// The candidates that one pick compares; never one that was tried or is at its limit. A local object of pick.
class Shortlist {
 public:
  static constexpr std::uint32_t kCapacity = 16;

  struct Entry {
    double score;            ///< what the strategy makes of it: the least is the best, infinity the worst
    std::uint32_t position;  ///< among the Candidates
    std::uint32_t active;    ///< sessions, as they were when looked at
  };

  std::uint32_t size() const noexcept { return size_; }
  Entry& operator[](std::uint32_t slot) noexcept { return entries_[slot]; }
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
      all_.push_back({backend.stats, index, limit, 1000.0 / backend.effective_weight});
      weights.push_back(backend.effective_weight);
    }
    if (small()) rotation_ = Rotation(weights);
    if (!all_.empty()) sampler_ = WeightedSampler(weights);
  }

  /// True where picks compare all candidates, not a few drawn ones.
  bool small() const noexcept { return all_.size() <= Shortlist::kCapacity; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(all_.size()); }
  const Candidate& operator[](std::uint32_t position) const noexcept { return all_[position]; }

  /// Writes the candidates to compare for a connection to `list`, which must be new; none where none may be picked.
  /// `score` is called as double(std::uint32_t position, std::uint32_t active). [worker]
  template <class Score>
  void shortlist(const lemonade_connection_t& connection, Shortlist& list, Score&& score) const noexcept {
    if (!small()) return draw(connection, kDraws, kMostDraws, list, score);
    const std::span<const std::uint32_t> tried(connection.tried, connection.tried_count);
    std::uint32_t size = 0;
    for (std::uint32_t i = 0; i < all_.size(); ++i) size = consider(i, tried, list, size, score);
    list.size_ = size;
  }

  /// The same, of `count` different candidates drawn by weight, in the order of the draw, and while none of them is
  /// idle of up to `most` (at most 16); fewer where the pool has no more to give, or hides them among very many that
  /// are full. [worker]
  template <class Score>
  void draw(const lemonade_connection_t& connection, std::uint32_t count, std::uint32_t most, Shortlist& list,
            Score&& score) const noexcept {
    const std::span<const std::uint32_t> tried(connection.tried, connection.tried_count);
    std::uint32_t size = 0;
    bool idle = false;
    const auto wanted = [&] { return size < count || (!idle && size < most); };
    for (std::uint32_t n = 0; !all_.empty() && n < kDrawsForOne * most && wanted(); ++n) {
      const auto position = sampler_.draw(n == 0 ? connection.random : nthRandom(connection.random, n));
      if (listed(position, list, size)) continue;
      size = consider(position, tried, list, size, score);
      idle |= size != 0 && list.entries_[size - 1].active == 0;
    }
    // In a small pool the draws may all have fallen on the one backend of great weight.
    if (size == 0 || (size < count && small())) size = search(connection, tried, list, size, count, score);
    list.size_ = size;
  }

  /// What pick answers: the listed backend with the least score. Those whose score is at most `tolerance` times the
  /// least are equals and take turns by weight; `turn` is where these have come to, kept by the strategy. [worker]
  std::uint32_t least(const Shortlist& list, double tolerance, std::atomic<std::uint32_t>& turn) const noexcept {
    if (list.size() == 0) return LEMONADE_PICK_NONE;
    double best = std::numeric_limits<double>::infinity();
    for (std::uint32_t slot = 0; slot < list.size(); ++slot) best = std::min(best, list[slot].score);
    const double limit = best * tolerance;
    std::uint32_t equals = 0;  // bit i: slot i
    for (std::uint32_t slot = 0; slot < list.size(); ++slot)
      equals |= static_cast<std::uint32_t>(list[slot].score <= limit) << slot;
    return all_[takeTurns(list, equals, turn)].index;
  }

 private:
  static constexpr std::uint32_t kDraws = 3;
  static constexpr std::uint32_t kMostDraws = 8;
  static constexpr std::uint32_t kDrawsForOne = 3;

  /// One position of the slots of the list that are set in `slots` (at least one).
  std::uint32_t takeTurns(const Shortlist& list, std::uint32_t slots, std::atomic<std::uint32_t>& turn) const noexcept {
    const auto lowest = [](std::uint32_t bits) { return static_cast<std::uint32_t>(std::countr_zero(bits)); };
    // One is the rule; std::has_single_bit would be a call into libgcc. What was drawn is in random order already.
    if ((slots & (slots - 1)) == 0 || !small()) return list[lowest(slots)].position;
    if (list.size() == size()) return rotation_.next(slots, turn);
    std::uint32_t positions = 0;
    for (; slots != 0; slots &= slots - 1) positions |= 1u << list[lowest(slots)].position;
    return rotation_.next(positions, turn);
  }

  static bool listed(std::uint32_t position, const Shortlist& list, std::uint32_t size) noexcept {
    for (std::uint32_t slot = 0; slot < size; ++slot)
      if (list.entries_[slot].position == position) return true;
    return false;
  }

  /// Appends a candidate that may be picked; returns how many there are now. Hot: without a branch on the limit.
  template <class Score>
  std::uint32_t consider(std::uint32_t position, std::span<const std::uint32_t> tried, Shortlist& list,
                         std::uint32_t size, Score& score) const noexcept {
    const Candidate& candidate = all_[position];
    for (const auto index : tried)
      if (index == candidate.index) return size;
    const std::uint32_t active = candidate.active();
    list.entries_[size] = {score(position, active), position, active};
    return size + static_cast<std::uint32_t>(active < candidate.max_connections);
  }

  /// Fills the list up to `count` with what can be found at all, from a random place on: draws missed it.
  template <class Score>
  std::uint32_t search(const lemonade_connection_t& connection, std::span<const std::uint32_t> tried, Shortlist& list,
                       std::uint32_t size, std::uint32_t count, Score& score) const noexcept {
    auto at = static_cast<std::uint32_t>((connection.random >> 32) * all_.size() >> 32);
    for (std::size_t n = 0; n < all_.size() && size < count; ++n) {
      if (!listed(at, list, size)) size = consider(at, tried, list, size, score);
      if (++at == all_.size()) at = 0;
    }
    return size;
  }

  std::vector<Candidate> all_;
  Rotation rotation_;  // of a small pool
  WeightedSampler sampler_;
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
