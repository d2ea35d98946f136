// SPDX-License-Identifier: MIT
//
// For strategies that compare live numbers: the eligible backends of a view, packed for scanning, and the few of them
// that one pick looks at.
//
// Up to 16 backends are all compared. Beyond that a pick draws three by weight, up to eight while none of them is idle,
// and compares those ("power of two choices", Mitzenmacher 2001; an idle one is worth looking for: Lu et al., "Join
// idle queue", 2011): nearly as good as the global best, in constant time, and workers that all look at the same moment
// do not all run to the same backend.
//
// A slow start thins: a backend takes part in as many picks as it is to have of its share, with the load that it has.
// To divide its load by a lowered weight instead would leave it without any while the others have a session or two
// each.
#pragma once

#include <lemonade/sdk/sampling.hpp>
#include <lemonade/sdk/smooth_order.hpp>
#include <lemonade/sdk/strategy.hpp>

#include <array>
#include <limits>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace lemonade::sdk {

/// An eligible backend, as it stays while the view lives.
struct Candidate {
  const lemonade_backend_stats_t* stats;
  const lemonade_backend_speed_t* speed;  ///< all 0 where the host does not tell
  std::uint32_t index;                    ///< in the view: what pick answers
  std::uint32_t max_connections;          ///< 2^32 - 1 where there is no limit
  double load_per_session;                ///< 1 / weight
  double weight;                          ///< lowered while a slow start runs, unlike the one of the load

  std::uint32_t active() const noexcept { return lemonade_load_u32(&stats->active); }
  bool full() const noexcept { return active() >= max_connections; }
  /// Sessions for each unit of weight if one more came.
  double load(std::uint32_t active) const noexcept { return (static_cast<double>(active) + 1) * load_per_session; }
};

/// The few that one pick of a large pool compares; never one that was tried or is at its limit. A local object of pick.
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

/// The eligible backends of a view, or some of them. Constant after construction, valid as long as the view.
class Candidates {
 public:
  static constexpr std::uint32_t kSmall = 16;  ///< up to so many are all compared

  /// Allocates. [control]
  explicit Candidates(View view) : Candidates(view, view.eligible()) {}

  /// Those of a view at `indices`, which are ascending. Allocates. [control]
  Candidates(View view, std::span<const std::uint32_t> indices) {
    std::vector<std::uint32_t> weights;
    all_.reserve(indices.size());
    weights.reserve(indices.size());
    for (const auto index : indices) {
      const auto& backend = view[index];
      if (backend.effective_weight == 0) continue;
      const auto limit =
          backend.max_connections == 0 ? std::numeric_limits<std::uint32_t>::max() : backend.max_connections;
      if (backend.max_connections != 0 && all_.size() < kSmall) limited_ |= 1u << all_.size();
      const double share = std::min(1.0, backend.effective_weight / (1000.0 * backend.weight));
      if (share < 1 && all_.size() < kSmall) {
        starting_ |= 1u << all_.size();
        takes_part_[all_.size()] = static_cast<std::uint32_t>(share * 0x1p32);
      }
      all_.push_back({backend.stats, speedOf(view, index), index, limit, 1.0 / backend.weight, share * backend.weight});
      weights.push_back(backend.effective_weight);
    }
    if (small()) rotation_ = Rotation(weights);
    if (!all_.empty()) sampler_ = WeightedSampler(weights);
  }

  /// True where picks compare all candidates, not a few drawn ones.
  bool small() const noexcept { return all_.size() <= kSmall; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(all_.size()); }
  const Candidate& operator[](std::uint32_t position) const noexcept { return all_[position]; }
  /// The position of the candidate whose index in the view this is; there must be one. [worker]
  std::uint32_t positionOf(std::uint32_t index) const noexcept {
    const auto found =
        std::lower_bound(all_.begin(), all_.end(), index,
                         [](const Candidate& candidate, std::uint32_t at) { return candidate.index < at; });
    return static_cast<std::uint32_t>(found - all_.begin());
  }

  /// What pick answers: the candidate with the least score, of all or of those drawn. Those whose score is at most
  /// `tolerance` times the least are equals and take turns by weight; `turn` is where these have come to, kept by the
  /// strategy. `score` is called as double(std::uint32_t position, std::uint32_t active): 0 or more, infinity the
  /// worst. [worker]
  template <class Score>
  std::uint32_t least(const lemonade_connection_t& connection, double tolerance, std::atomic<std::uint32_t>& turn,
                      Score&& score) const noexcept {
    return least(connection, tolerance, turn, score, score);
  }

  /// The same with a score for small pools and another for large ones: what is kept ready, and what is worked out.
  /// [worker]
  template <class Score, class LargeScore>
  std::uint32_t least(const lemonade_connection_t& connection, double tolerance, std::atomic<std::uint32_t>& turn,
                      Score&& score, LargeScore&& large_score) const noexcept {
    return small() ? leastOfAll(connection, tolerance, turn, score) : leastOfSome(connection, tolerance, large_score);
  }

  /// Writes `count` different candidates drawn by weight to `list`, which must be new, in the order of the draw, and
  /// while none of them is idle up to `most` (at most 16); fewer where the pool has no more to give, or hides them
  /// among very many that are full. `score` as above. [worker]
  template <class Score>
  void draw(const lemonade_connection_t& connection, std::uint32_t count, std::uint32_t most, Shortlist& list,
            Score&& score) const noexcept {
    std::uint32_t size = 0;
    bool idle = false;
    const auto wanted = [&] { return size < count || (!idle && size < most); };
    for (std::uint32_t n = 0; !all_.empty() && n < kDrawsForOne * most && wanted(); ++n) {
      const auto position = drawn(connection, n);
      if (listed(position, list, size)) continue;
      size = consider(connection, position, list, size, score);
      idle |= size != 0 && list.entries_[size - 1].active == 0;
    }
    // In a small pool the draws may all have fallen on the one backend of great weight.
    if (size == 0 || (size < count && small())) size = search(connection, list, size, count, score);
    list.size_ = size;
  }

  /// The n-th of the positions drawn by weight for this connection, from 0, not always different ones; there must be a
  /// candidate. [worker]
  std::uint32_t drawn(const lemonade_connection_t& connection, std::uint32_t n) const noexcept {
    return sampler_.draw(n == 0 ? connection.random : nthRandom(connection.random, n));
  }

 private:
  static constexpr lemonade_backend_speed_t kNotTold{};
  static constexpr std::uint32_t kDraws = 3;
  static constexpr std::uint32_t kMostDraws = 8;
  static constexpr std::uint32_t kDrawsForOne = 3;
  static constexpr double kWorst = std::numeric_limits<double>::infinity();

  static const lemonade_backend_speed_t* speedOf(View view, std::uint32_t index) noexcept {
    const bool told = LEMONADE_VIEW_HAS(&view.raw(), speed) && view[index].speed != nullptr;
    return told ? view[index].speed : &kNotTold;
  }

  static std::uint32_t lowest(std::uint32_t bits) noexcept {
    return static_cast<std::uint32_t>(std::countr_zero(bits));
  }

  /// The scores of a small pool, in pairs: what one SSE2 or NEON register holds.
  using Pair = double __attribute__((vector_size(16)));
  using Scores = std::array<Pair, kSmall / 2>;

  /// least() of a small pool. No branch depends on the numbers, but for who is at its limit.
  template <class Score>
  std::uint32_t leastOfAll(const lemonade_connection_t& connection, double tolerance, std::atomic<std::uint32_t>& turn,
                           Score& score) const noexcept {
    const std::uint32_t size = this->size();
    const Candidate* const all = all_.data();
    const auto at = [&](std::uint32_t position) { return score(position, all[position].active()); };
    Scores scores;
    Pair best = {kWorst, kWorst};
    std::uint32_t i = 0;
    for (; i + 1 < size; i += 2) {
      const Pair pair = scores[i / 2] = Pair{at(i), at(i + 1)};
      best = pair < best ? pair : best;
    }
    if (i < size) {
      const Pair pair = scores[i / 2] = Pair{at(i), kWorst};
      best = pair < best ? pair : best;
    }
    const std::uint32_t equals = atMost(scores, std::min(best[0], best[1]) * tolerance, size);
    if (equals == 0 || (connection.tried_count | starting_) != 0 || anyFull(equals & limited_)) [[unlikely]]
      return leastOfOpen(connection, tolerance, turn, scores);
    return all[rotation_.next(equals, turn)].index;
  }

  /// The same where some may not be picked, or do not always take part.
  [[gnu::noinline]] std::uint32_t leastOfOpen(const lemonade_connection_t& connection, double tolerance,
                                              std::atomic<std::uint32_t>& turn, const Scores& scores) const noexcept {
    std::uint32_t open = 0;  // bit i: position i may be picked
    for (std::uint32_t i = 0; i < size(); ++i)
      if (!all_[i].full() && !tried(connection, all_[i].index)) open |= 1u << i;
    if (open == 0) return LEMONADE_PICK_NONE;
    if (const std::uint32_t taking_part = open & ~standingBack(connection); taking_part != 0) open = taking_part;
    double best = kWorst;
    for (std::uint32_t i = 0; i < size(); ++i)
      if ((open >> i & 1) != 0) best = std::min(best, scores[i / 2][i % 2]);
    const std::uint32_t equals = open & atMost(scores, best * tolerance, size());
    return all_[rotation_.next(equals != 0 ? equals : open, turn)].index;  // 0: not a score was a number
  }

  /// Bit i: the candidate at position i is in a slow start and has no part in this pick.
  std::uint32_t standingBack(const lemonade_connection_t& connection) const noexcept {
    std::uint32_t found = 0;
    for (std::uint32_t left = starting_; left != 0; left &= left - 1) {
      const std::uint32_t i = lowest(left);
      const auto luck =
          static_cast<std::uint32_t>(nthRandom(connection.random, kDrawsForOne * Shortlist::kCapacity + i));
      if (luck >= takes_part_[i]) found |= 1u << i;
    }
    return found;
  }

  bool anyFull(std::uint32_t positions) const noexcept {
    for (; positions != 0; positions &= positions - 1)
      if (all_[lowest(positions)].full()) return true;
    return false;
  }

  /// Bit i: score i, of so many, is at most `limit`.
  static std::uint32_t atMost(const Scores& scores, double limit, std::uint32_t size) noexcept {
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; i < size; i += 2) found |= atMost(scores[i / 2], limit) << i;
    return found & ((1u << size) - 1);
  }

  /// Bit 0 and 1: which of the two is at most `limit`.
  static std::uint32_t atMost(Pair pair, double limit) noexcept {
#ifdef __SSE2__
    return static_cast<std::uint32_t>(_mm_movemask_pd(_mm_cmple_pd(pair, _mm_set1_pd(limit))));
#else
    return static_cast<std::uint32_t>(pair[0] <= limit) | static_cast<std::uint32_t>(pair[1] <= limit) << 1;
#endif
  }

  static bool tried(const lemonade_connection_t& connection, std::uint32_t index) noexcept {
    for (std::uint32_t n = 0; n < connection.tried_count; ++n)
      if (connection.tried[n] == index) return true;
    return false;
  }

  /// least() of a large pool. What was drawn is in random order: of equals the first is as good as any. Apart, so that
  /// the registers it needs do not burden a small pool.
  template <class Score>
  [[gnu::noinline]] std::uint32_t leastOfSome(const lemonade_connection_t& connection, double tolerance,
                                              Score& score) const noexcept {
    Shortlist list;
    draw(connection, kDraws, kMostDraws, list, score);
    if (list.size() == 0) return LEMONADE_PICK_NONE;
    double best = kWorst;
    for (std::uint32_t slot = 0; slot < list.size(); ++slot) best = std::min(best, list[slot].score);
    std::uint32_t equals = 0;  // bit i: slot i
    for (std::uint32_t slot = 0; slot < list.size(); ++slot)
      equals |= static_cast<std::uint32_t>(list[slot].score <= best * tolerance) << slot;
    return all_[list[equals != 0 ? lowest(equals) : 0].position].index;
  }

  static bool listed(std::uint32_t position, const Shortlist& list, std::uint32_t size) noexcept {
    for (std::uint32_t slot = 0; slot < size; ++slot)
      if (list.entries_[slot].position == position) return true;
    return false;
  }

  /// Appends a candidate that may be picked; returns how many there are now. Hot: without a branch on the limit.
  template <class Score>
  std::uint32_t consider(const lemonade_connection_t& connection, std::uint32_t position, Shortlist& list,
                         std::uint32_t size, Score& score) const noexcept {
    const Candidate& candidate = all_[position];
    if (tried(connection, candidate.index)) return size;
    const std::uint32_t active = candidate.active();
    list.entries_[size] = {score(position, active), position, active};
    return size + static_cast<std::uint32_t>(active < candidate.max_connections);
  }

  /// Fills the list up to `count` with what can be found at all, from a random place on: draws missed it.
  template <class Score>
  std::uint32_t search(const lemonade_connection_t& connection, Shortlist& list, std::uint32_t size,
                       std::uint32_t count, Score& score) const noexcept {
    auto at = static_cast<std::uint32_t>((connection.random >> 32) * all_.size() >> 32);
    for (std::size_t n = 0; n < all_.size() && size < count; ++n) {
      if (!listed(at, list, size)) size = consider(connection, at, list, size, score);
      if (++at == all_.size()) at = 0;
    }
    return size;
  }

  std::vector<Candidate> all_;
  std::uint32_t limited_ = 0;                       // of a small pool, bit i: the one at position i has a limit
  std::uint32_t starting_ = 0;                      // and: is in a slow start
  std::array<std::uint32_t, kSmall> takes_part_{};  // of those: in how many of 2^32 picks
  Rotation rotation_;                               // of a small pool
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
