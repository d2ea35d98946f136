// SPDX-License-Identifier: MIT
//
// For strategies that go by response time: what is believed of each backend's speed.
//
// The host measures; this judges. What a backend took for one exchange is believed as far as the evidence goes
// (sdk/speed.hpp); of a host that does not tell (ABI 1.1 and before), and where no exchanges are answered, the average
// of successful samples is, connects if need be. That is qualified by what it cannot show:
//   - time: without new samples the evidence fades, so that a backend which was slow, once or always, is tried again,
//     and backends of which nothing new is known take turns. How fast depends on traffic: each try of a slow one costs
//     a client time, so they must be few among many;
//   - silence: of the exchange that a backend works on, as much is left as is usual for its age; where work varies
//     little that is less than a whole one, where it varies much or there is no end in sight it is more. So a hung
//     backend is seen at once;
//   - failure: errors multiply the latency, and add a handicap to the load: a backend that fails at once is always
//     idle, and its idleness must not look like capacity. The errors are forgotten with time too, which is how it is
//     probed;
//   - ignorance: a backend of which nothing, or nothing new, is known is tried at once, but with two sessions until it
//     has shown itself.
// Where backends of the balancer's own zone are preferred, the others are hardly used; what is known of them grows old
// sixty times more slowly, or they would be tried for curiosity all the time.
// The beliefs are renewed at most once a millisecond, by whichever worker comes first; picks read the result. In a
// large pool each is renewed when a pick looks at it and it is older than that, or than as many times that as there are
// hundreds of backends, up to ten.
#pragma once

#include <lemonade/sdk/candidates.hpp>
#include <lemonade/sdk/speed.hpp>
#include <lemonade/sdk/zones.hpp>

#include <chrono>

namespace lemonade::sdk {

/// 2^-x for x >= 0, linear between whole numbers (at most 6 % above): by the exponent bits of the result.
inline double halvings(double x) noexcept {
  constexpr double kOne = 0x1p52;
  if (x >= 60) return 0;
  return std::bit_cast<double>((std::uint64_t{1023} << 52) - static_cast<std::uint64_t>(x * kOne));
}

/// How fast samples grow old: by half in a half-life, or while the pool is given a hundred connections, whichever takes
/// longer (but a minute at most). Belongs to the strategy, so that what it learnt of the traffic outlives a view.
class Memory {
 public:
  explicit Memory(std::chrono::nanoseconds half_life) noexcept
      : half_life_ns_(static_cast<double>(half_life.count())), per_ns_(1 / half_life_ns_) {}

  /// The pool was given so many connections a nanosecond lately. [worker]
  void pace(double connections_per_ns) noexcept {
    const double longest = std::max(half_life_ns_, kLongestNs);
    const double wanted = connections_per_ns > 0 ? kConnections / connections_per_ns : longest;
    per_ns_.store(1 / std::clamp(wanted, half_life_ns_, longest), std::memory_order_relaxed);
  }

  /// Half-lives in a nanosecond. [worker]
  double halvingsPerNs() const noexcept { return per_ns_.load(std::memory_order_relaxed); }

 private:
  static constexpr double kConnections = 100;
  static constexpr double kLongestNs = 60e9;

  const double half_life_ns_;
  std::atomic<double> per_ns_;
};

/// The candidates of a view and the beliefs about them. Valid as long as the view.
class LatencyBook {
 public:
  /// Whose turn it is among equals, of the own zone and elsewhere; kept by the strategy.
  struct Turns {
    std::atomic<std::uint32_t> near{0};
    std::atomic<std::uint32_t> far{0};
  };

  /// memory must outlive this. Allocates. [control]
  LatencyBook(View view, Memory& memory, const ZonePreference& zones = {})
      : LatencyBook(view, memory, zones.tolerance, ZoneSplit(view, zones.aware)) {}

  /// What pick answers: the least latency times load, all that is held against a backend included. Near-equals, within
  /// the factor `tolerance`, take turns by weight. `sessions` says what counts as the load before it is divided by
  /// weight, as double(const lemonade_backend_stats_t&, std::uint32_t active): 0 or more, with the connection that
  /// comes.
  /// Where zones are preferred it is the least of the own zone, unless that costs more than the tolerance of zones
  /// times what the least elsewhere would cost with the sessions of both. [worker]
  template <class Sessions>
  std::uint32_t least(const lemonade_connection_t& connection, double tolerance, Turns& turns,
                      Sessions&& sessions) const noexcept {
    // Signed: another worker's clock may be a little ahead.
    const auto age = static_cast<std::int64_t>(connection.now_ns - renewed_at_.load(std::memory_order_relaxed));
    if (age >= kFreshNs) [[unlikely]]
      renew(connection);
    const std::uint32_t near = least<&LatencyBook::near_>(connection, tolerance, turns.near, sessions);
    if (far_.candidates.size() == 0) [[likely]]
      return near;
    return nearOrFar(near, connection, tolerance, turns.far, sessions);
  }

 private:
  static constexpr double kFullHandicap = 5;  // of a backend that only fails
  static constexpr std::int64_t kFreshNs = 1'000'000;
  static constexpr std::int64_t kMostFreshNs = 10'000'000;  // of a large pool
  static constexpr std::int64_t kFreshForEachNs = 10'000;
  static constexpr std::uint64_t kPaceNs = 1'000'000'000;
  static constexpr double kFailureHalvingsPerNs = 1 / 10e9;
  static constexpr double kFewErrors = 0.01;         // less says nothing, and would decide among equals
  static constexpr double kLeastLatencyNs = 50'000;  // below, differences are the scheduler's
  static constexpr std::uint32_t kSample = 32;
  static constexpr std::uint32_t kProbes = 2;
  static constexpr double kFarSlowness = 60;
  static constexpr double kMostDone = 0.5;
  static constexpr double kStuck = 0.5;
  static constexpr double kLeastVariation = 0.005;
  static constexpr double kMostVariation = 4;

  /// What makes a score of a number of sessions: latency * (sessions / weight + handicap).
  struct Opinion {
    double for_each;  // latency / weight, above 0, penalties included
    double anyway;    // latency * handicap; 0 for a sound backend
    double per_ns;    // how much of an exchange it does in a nanosecond; 0: not known
  };

  /// What is believed of one backend: while it has hardly a session, when it may be worth a try, and from then on.
  struct Estimate {
    Opinion few;
    Opinion more;
    Opinion of(std::uint32_t active) const noexcept { return isFamiliar(active) ? more : few; }
  };

  static bool isFamiliar(std::uint32_t active) noexcept { return active >= kProbes; }

  /// An Opinion that one worker writes while others read; its parts need not belong together.
  class Belief {
   public:
    void store(const Opinion& opinion) noexcept {
      for_each_.store(opinion.for_each, std::memory_order_relaxed);
      anyway_.store(opinion.anyway, std::memory_order_relaxed);
      per_ns_.store(opinion.per_ns, std::memory_order_relaxed);
    }
    Opinion load() const noexcept {
      return {for_each_.load(std::memory_order_relaxed), anyway_.load(std::memory_order_relaxed),
              per_ns_.load(std::memory_order_relaxed)};
    }

   private:
    std::atomic<double> for_each_{kLeastLatencyNs};
    std::atomic<double> anyway_{0};
    std::atomic<double> per_ns_{0};
  };

  /// Beliefs of one backend of a large pool, as an Estimate has them.
  struct alignas(64) Beliefs {
    std::array<Belief, 2> of;                  // by isFamiliar
    std::atomic<std::uint64_t> renewed_at{0};  // 0: never
  };

  /// Candidates that are compared with each other first: those of the own zone, or those elsewhere.
  struct Group {
    Group(View view, std::span<const std::uint32_t> indices, double slower)
        : candidates(view, indices),
          slowness(slower),
          fresh_ns(std::clamp<std::int64_t>(kFreshForEachNs * candidates.size(), kFreshNs, kMostFreshNs)),
          many(candidates.small() ? 0 : candidates.size()) {}

    const Candidates candidates;
    const double slowness;  ///< so many times more slowly do samples of it grow old
    const std::int64_t fresh_ns;
    // Of a small pool. A table, since which half is read is luck: no branch.
    mutable std::array<std::array<Belief, Candidates::kSmall>, 2> beliefs;
    mutable std::vector<Beliefs> many;  // of a large pool, by position
  };

  LatencyBook(View view, Memory& memory, double zone_tolerance, const ZoneSplit& split)
      : near_(view, split.near(), 1),
        far_(view, split.far(), kFarSlowness),
        taken_(split.taken()),
        zone_tolerance_(zone_tolerance),
        memory_(memory) {}

  /// How much more than one exchange is left of the one that a backend works on, in exchanges; below 0 where it is
  /// less.
  static double headOf(const Candidate& candidate, double per_ns, double growth, std::uint64_t now) noexcept {
    const auto age = static_cast<std::int64_t>(now - lemonade_load_u64(&candidate.speed->head_since_ns));
    const double under_way = static_cast<double>(age) * per_ns;
    const double more = std::max(std::max(under_way * growth, -kMostDone), under_way * kStuck - 1);
    return lemonade_load_u32(&candidate.stats->waiting) != 0 ? more : 0;
  }

  /// The least of one group. A template of the group, so that the search is written out for each of its two places.
  template <const Group LatencyBook::*group_of, class Sessions>
  std::uint32_t least(const lemonade_connection_t& connection, double tolerance, std::atomic<std::uint32_t>& turn,
                      Sessions& sessions) const noexcept {
    const Group& group = this->*group_of;
    const double growth = growth_.load(std::memory_order_relaxed);
    const auto scored = [&](const Opinion& opinion, std::uint32_t position, std::uint32_t active) {
      const Candidate& candidate = group.candidates[position];
      return opinion.for_each *
                 (sessions(*candidate.stats, active) + headOf(candidate, opinion.per_ns, growth, connection.now_ns)) +
             opinion.anyway;
    };
    return group.candidates.least(
        connection, tolerance, turn,
        [&](std::uint32_t position, std::uint32_t active) {
          return scored(group.beliefs[isFamiliar(active)][position].load(), position, active);
        },
        [&](std::uint32_t position, std::uint32_t active) {
          return scored(believed(group, position, connection.now_ns).of[isFamiliar(active)].load(), position, active);
        });
  }

  Opinion opinionOf(const Group& group, std::uint32_t position, std::uint32_t active,
                    std::uint64_t now) const noexcept {
    return group.candidates.small() ? group.beliefs[isFamiliar(active)][position].load()
                                    : believed(group, position, now).of[isFamiliar(active)].load();
  }

  /// What is believed of one of a large pool, renewed where it is old.
  const Beliefs& believed(const Group& group, std::uint32_t position, std::uint64_t now) const noexcept {
    Beliefs& beliefs = group.many[position];
    const std::uint64_t last = beliefs.renewed_at.load(std::memory_order_relaxed);
    // Signed: another worker's clock may be a little ahead.
    const bool fresh = static_cast<std::int64_t>(now - last) < group.fresh_ns && last != 0;
    if (!fresh) [[unlikely]]
      renew(group, position, now, beliefs);
    return beliefs;
  }

  [[gnu::noinline]] void renew(const Group& group, std::uint32_t position, std::uint64_t now,
                               Beliefs& beliefs) const noexcept {
    const Estimate estimate = judge(group, position, now);
    beliefs.of[0].store(estimate.few);
    beliefs.of[1].store(estimate.more);
    beliefs.renewed_at.store(now, std::memory_order_relaxed);
  }

  /// What pick answers where the least of the own zone is `near`. Apart, so that picks without zones do not carry its
  /// registers.
  template <class Sessions>
  [[gnu::noinline]] std::uint32_t nearOrFar(std::uint32_t near, const lemonade_connection_t& connection,
                                            double tolerance, std::atomic<std::uint32_t>& far_turn,
                                            Sessions& sessions) const noexcept {
    std::atomic<std::uint32_t> turn{far_turn.load(std::memory_order_relaxed)};  // is taken where far is picked
    const std::uint32_t far = least<&LatencyBook::far_>(connection, tolerance, turn, sessions);
    if (far == LEMONADE_PICK_NONE) return near;
    const bool worse =
        near == LEMONADE_PICK_NONE || standsBack(taken_, connection) || isWorse(near, far, connection.now_ns, sessions);
    if (!worse) return near;
    far_turn.store(turn.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return far;
  }

  /// True where the one of the own zone is worse than is tolerated.
  template <class Sessions>
  bool isWorse(std::uint32_t near, std::uint32_t far, std::uint64_t now, Sessions& sessions) const noexcept {
    return told() ? responseNs(near_, near, now) > zone_tolerance_ * responseNs(far_, far, now)
                  : costsMore(near, far, now, sessions);
  }

  /// How long an answer is to be waited for: what it takes for one exchange, times those that it owes with the one that
  /// comes. Sessions that ask nothing delay nobody.
  double responseNs(const Group& group, std::uint32_t index, std::uint64_t now) const noexcept {
    const std::uint32_t position = group.candidates.positionOf(index);
    const Candidate& candidate = group.candidates[position];
    const Opinion opinion = opinionOf(group, position, candidate.active(), now);
    const double owed = 1.0 + lemonade_load_u32(&candidate.stats->waiting);
    return opinion.for_each * (owed + headOf(candidate, opinion.per_ns, growth_.load(std::memory_order_relaxed), now)) +
           opinion.anyway;
  }

  /// Where exchanges are not known: what one of the own zone has of sessions is no reason by itself, or the idle
  /// elsewhere would always be better. The other one is imagined with them.
  template <class Sessions>
  bool costsMore(std::uint32_t near, std::uint32_t far, std::uint64_t now, Sessions& sessions) const noexcept {
    const auto of = [&](const Group& group, std::uint32_t index) {
      const std::uint32_t position = group.candidates.positionOf(index);
      const Candidate& candidate = group.candidates[position];
      const std::uint32_t active = candidate.active();
      const Opinion opinion = opinionOf(group, position, active, now);
      const double count = sessions(*candidate.stats, active);
      return Cost{opinion.for_each * count + opinion.anyway, (count - 1) * candidate.load_per_session,
                  opinion.for_each / candidate.load_per_session};
    };
    const Cost here = of(near_, near), there = of(far_, far);
    return here.cost > zone_tolerance_ * (there.cost + there.for_each_load * here.load);
  }

  struct Cost {
    double cost;           // what pick goes by
    double load;           // without the connection that comes
    double for_each_load;  // how much a unit of load adds to the cost
  };

  /// By whichever worker comes first. Apart, so that the many picks in between do not carry its registers.
  [[gnu::noinline, gnu::cold]] void renew(const lemonade_connection_t& connection) const noexcept {
    auto last = renewed_at_.load(std::memory_order_relaxed);
    if (static_cast<std::int64_t>(connection.now_ns - last) < kFreshNs) return;
    if (!renewed_at_.compare_exchange_strong(last, connection.now_ns, std::memory_order_relaxed)) return;
    survey(connection);
    measurePace(connection.now_ns);
    for (const Group* group : {&near_, &far_})
      for (std::uint32_t i = 0; group->candidates.small() && i < group->candidates.size(); ++i) {
        const Estimate estimate = judge(*group, i, connection.now_ns);
        group->beliefs[0][i].store(estimate.few);
        group->beliefs[1][i].store(estimate.more);
      }
  }

  /// Those of both groups, one after the other.
  std::uint32_t size() const noexcept { return near_.candidates.size() + far_.candidates.size(); }
  const Candidate& candidate(std::uint32_t n) const noexcept {
    return n < near_.candidates.size() ? near_.candidates[n] : far_.candidates[n - near_.candidates.size()];
  }

  /// What a survey has seen.
  struct Seen {
    std::array<double, kSample> exchanges, connects, roots;
    std::uint32_t exchange_count = 0, connect_count = 0, root_count = 0;
    double load = 0;
    double variation = 0;  // in squares of the mean, of so many samples
    double samples = 0;

    void add(const Candidate& candidate) noexcept {
      load += candidate.load(candidate.active());
      const double exchange = lemonade_load_f64(&candidate.stats->exchange_ewma_ns);
      const double connect = lemonade_load_f64(&candidate.stats->connect_ewma_ns);
      if (exchange > 0) exchanges[exchange_count++] = exchange;
      if (connect > 0) connects[connect_count++] = connect;
      const double count = lemonade_load_f32(&candidate.speed->count[1]);
      const double root = lemonade_load_f32(&candidate.speed->root[1]);
      if (!(count >= 1) || !(root > 0)) return;
      roots[root_count++] = root;
      variation += (count - 1) * lemonade_load_f32(&candidate.speed->spread) / (root * root);
      samples += count - 1;
    }
  };

  /// Looks at the whole pool, or at 32 backends of a large one, for what is usual.
  void survey(const lemonade_connection_t& connection) const noexcept {
    Seen seen;
    const std::uint32_t size = this->size();
    const std::uint32_t count = std::min(size, kSample);
    if (count == 0) return;
    auto at = static_cast<std::uint32_t>((connection.random >> 32) * size >> 32);
    for (std::uint32_t n = 0; n < count; ++n) {
      seen.add(candidate(at));
      at += size / count;
      if (at >= size) at -= size;
    }
    mean_load_.store(seen.load / count, std::memory_order_relaxed);
    // The two kinds are never compared with each other: where any backend answers exchanges, they decide.
    by_exchange_.store(seen.exchange_count > 0, std::memory_order_relaxed);
    const double root = seen.root_count > 0 ? lowerMedian({seen.roots.data(), seen.root_count}) : 0;
    usual_root_.store(static_cast<float>(root), std::memory_order_relaxed);
    median_.store(root > 0                  ? root * root
                  : seen.exchange_count > 0 ? lowerMedian({seen.exchanges.data(), seen.exchange_count})
                                            : lowerMedian({seen.connects.data(), seen.connect_count}),
                  std::memory_order_relaxed);
    noteVariation(seen);
  }

  void noteVariation(const Seen& seen) const noexcept {
    // As long as few samples were seen, mostly that of exponential work is assumed.
    constexpr double kAssumed = 8, kOfExponential = 0.27;
    const double variation = (seen.variation + kAssumed * kOfExponential) / (seen.samples + kAssumed);
    const double sane = variation > kLeastVariation ? std::min(variation, kMostVariation) : kLeastVariation;
    variation_.store(static_cast<float>(sane), std::memory_order_relaxed);
    // Of work of the generalised Pareto distribution with a squared coefficient of variation c, what is left on average
    // grows by (c - 1) / (c + 1) of what is done. c itself would be known by very many samples only; that of the roots
    // suggests it: this is between what it is for gamma and for lognormal distributions.
    const double squared = (1 + sane) * (1 + sane) * (1 + sane) - 1;
    growth_.store((squared - 1) / (squared + 1), std::memory_order_relaxed);
  }

  /// Tells the memory, once a second, how many connections the pool is given; of a large one, what 32 suggest.
  void measurePace(std::uint64_t now) const noexcept {
    const std::uint64_t since = paced_at_.load(std::memory_order_relaxed);
    const std::uint32_t count = std::min(size(), kSample);
    if (now < since + kPaceNs || count == 0) return;
    std::uint32_t picks = 0;
    for (std::uint32_t n = 0; n < count; ++n) picks += lemonade_load_u32(&candidate(n * (size() / count)).stats->picks);
    const std::uint32_t before = picks_.exchange(picks, std::memory_order_relaxed);
    paced_at_.store(now, std::memory_order_relaxed);
    if (since == 0) return;
    memory_.pace(static_cast<double>(picks - before) * size() / count / static_cast<double>(now - since));
  }

  /// The lower of two middle values: of two backends the faster sets the expectation.
  static double lowerMedian(std::span<double> values) noexcept {
    if (values.empty()) return kLeastLatencyNs;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  }

  /// How much of something seen at `then` still counts, 1 to 0.
  static double remaining(std::uint64_t then, std::uint64_t now, double halvings_per_ns) noexcept {
    return now > then ? halvings(static_cast<double>(now - then) * halvings_per_ns) : 1;
  }

  /// Share of sessions that fail lately, 0 to 1. A second failure in a row says more than the slow average does yet.
  static double recentErrors(const lemonade_backend_stats_t& stats, std::uint32_t streak, std::uint64_t now) noexcept {
    const std::uint64_t failed_at = lemonade_load_u64(&stats.failed_at_ns);
    if (failed_at == 0) return 0;
    const double in_a_row = streak < 2 ? 0 : (streak - 1.0) / (streak + 2.0);
    const double share = std::max<double>(lemonade_load_f32(&stats.error_rate), in_a_row) *
                         remaining(failed_at, now, kFailureHalvingsPerNs);
    return share < kFewErrors ? 0 : share;
  }

  /// Whether backends answer exchanges, and the host tells how long they take.
  bool told() const noexcept {
    return by_exchange_.load(std::memory_order_relaxed) && usual_root_.load(std::memory_order_relaxed) > 0;
  }

  Estimate judge(const Group& group, std::uint32_t position, std::uint64_t now) const noexcept {
    const Candidate& candidate = group.candidates[position];
    const auto& stats = *candidate.stats;
    const bool by_exchange = by_exchange_.load(std::memory_order_relaxed);
    const double own = lemonade_load_f64(by_exchange ? &stats.exchange_ewma_ns : &stats.connect_ewma_ns);
    const UsualSpeed usual{usual_root_.load(std::memory_order_relaxed), variation_.load(std::memory_order_relaxed)};
    const bool told = by_exchange && usual.root > 0;
    const double halvings_per_ns = memory_.halvingsPerNs() / group.slowness;
    const Latency latency = told ? byEvidence(*candidate.speed, usual, own > 0, now, halvings_per_ns)
                                 : byPeaks(stats, own, now, halvings_per_ns);
    const std::uint32_t streak = lemonade_load_u32(&stats.fail_streak);
    const bool sound = own > 0 && streak < 2;
    const double median = median_.load(std::memory_order_relaxed);
    // Curiosity is for those that do not fail.
    const double least = streak != 0 ? std::max(median, kLeastLatencyNs) : kLeastLatencyNs;
    const double few = std::max(latency.few, least);
    const double more = std::max(sound ? latency.more : std::max(few, median), least);
    const double errors = recentErrors(stats, streak, now);
    const double mean_load = mean_load_.load(std::memory_order_relaxed);
    const auto opinion = [&](double latency_ns, double failing) {
      const double per_ns = told ? 1 / latency_ns : 0;
      latency_ns *= 1 + 4 * errors;
      return Opinion{latency_ns * candidate.load_per_session, latency_ns * kFullHandicap * failing * mean_load, per_ns};
    };
    return {opinion(few, errors), opinion(more, sound ? errors : 1)};
  }

  /// Nanoseconds of one exchange, as Estimate has them.
  struct Latency {
    double few;
    double more;
  };

  static Latency byEvidence(const lemonade_backend_speed_t& speed, const UsualSpeed& usual, bool known,
                            std::uint64_t now, double halvings_per_ns) noexcept {
    const double usual_ns = static_cast<double>(usual.root) * usual.root;
    if (!known) return {0, usual_ns};
    constexpr double kUsualGaps = 4;  // longer ones are pauses
    const std::uint64_t answered = lemonade_load_u64(&speed.answered_at_ns);
    const double passed = now > answered ? static_cast<double>(now - answered) : 0;
    const double paused = passed - kUsualGaps * static_cast<double>(lemonade_load_f32(&speed.gap_ns));
    const double more = usual_ns * believedSlowness(speed, usual, 1);
    if (paused <= 0) return {more, more};
    return {usual_ns * believedSlowness(speed, usual, static_cast<float>(halvings(paused * halvings_per_ns))), more};
  }

  static Latency byPeaks(const lemonade_backend_stats_t& stats, double own, std::uint64_t now,
                         double halvings_per_ns) noexcept {
    const double believed = own * remaining(lemonade_load_u64(&stats.sampled_at_ns), now, halvings_per_ns);
    const auto waited = static_cast<double>(lemonade_mean_wait_ns(&stats, now));
    return {std::max(believed, waited), std::max(own, waited)};
  }

  // Constant after construction, the beliefs of the groups apart.
  const Group near_;  // all, where no zone is preferred
  const Group far_;
  const std::uint32_t taken_;  // see ZoneSplit
  const double zone_tolerance_;
  Memory& memory_;

  // Any worker (atomic): a survey's results, each good without the others.
  mutable std::atomic<std::uint64_t> renewed_at_{0};
  mutable std::atomic<std::uint64_t> paced_at_{0};
  mutable std::atomic<std::uint32_t> picks_{0};  // of those that measurePace looks at, at that time
  mutable std::atomic<double> mean_load_{1};
  mutable std::atomic<double> median_{kLeastLatencyNs};
  mutable std::atomic<bool> by_exchange_{false};
  mutable std::atomic<float> usual_root_{0};
  mutable std::atomic<float> variation_{0.3F};
  mutable std::atomic<double> growth_{0};
};

}  // namespace lemonade::sdk
