// SPDX-License-Identifier: MIT
//
// How fast backends are, as weights for strategies that do not go by response time: weight times learned speed takes
// the place of the weight.
//
// What is learned is the mean response time of each backend, from the average that the host keeps, over some seconds,
// and what it takes for one exchange alone, where the host tells that. The speed is one over the geometric mean of the
// two, relative to the pool's. Response time keeps shares right: a backend that gets too much answers more slowly and
// so gets less. But its queue makes it noisy, and what is sent goes by noise then; the exchange alone is steady. By
// itself it would not do: of a backend that answers many at once it falls as the backend gets more, which would then
// get ever more. By half of it, in the geometric mean, that ends as long as the power below is at most 2.
//
// By the speed itself all are equally busy in the end; by a power of it slow ones get less, so that response times come
// nearer to each other. It is slow on purpose: what a strategy sends follows the speed, and the speed what it sends,
// and where that goes round faster than queues fill and drain it swings.
//
// One of which nothing is known is as fast as the others. None counts as more than sixteen times slower or faster than
// the pool: one that gets nothing shows nothing.
#pragma once

#include <lemonade/sdk/candidates.hpp>

#include <cmath>
#include <unordered_map>

namespace lemonade::sdk {

/// Row of the option schema that strategies read which learn weights.
inline constexpr lemonade_option_t kLearnWeights =
    option("learn_weights", LEMONADE_OPTION_BOOLEAN, "false",
           "Multiplies weights with the speed of the backends that their response times show.");

/// What is known of one backend, for all views that have it. Any thread.
struct LearnedSpeed {
  std::atomic<double> response_ns{0};  ///< mean response time; 0: nothing yet
  std::atomic<double> mean_ns{0};      ///< of that and of an exchange alone: one over its speed; 0: nothing yet
};

/// What is known of all backends of a strategy, by identity. Belongs to the strategy, so that it outlives views.
/// [control]
class LearnedSpeeds {
 public:
  std::shared_ptr<LearnedSpeed> of(std::uint64_t identity) {
    auto& known = known_[identity];
    auto speed = known.lock();
    if (speed == nullptr) known = speed = std::make_shared<LearnedSpeed>();
    return speed;
  }
  void forgetOthers() {
    std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
  }

 private:
  std::unordered_map<std::uint64_t, std::weak_ptr<LearnedSpeed>> known_;
};

/// The speeds of the candidates of one view. Where it is off, all are 1 and nothing is done. Valid as long as the view.
class LearnedWeights {
 public:
  /// Off.
  LearnedWeights() = default;

  /// candidates are of this view and must outlive it; weights are multiplied with the speed to this power, at most 2.
  /// Allocates. [control]
  LearnedWeights(View view, const Candidates& candidates, LearnedSpeeds& speeds, double power = 1)
      : candidates_(&candidates), power_(power), factors_(candidates.size()) {
    for (std::uint32_t i = 0; i < candidates.size(); ++i) {
      known_.push_back(speeds.of(view[candidates[i].index].identity));
      factors_[i].store(1, std::memory_order_relaxed);
    }
    speeds.forgetOthers();
    reckon();
  }

  bool on() const noexcept { return candidates_ != nullptr; }

  /// What its weight is to be multiplied with: the mean over the candidates, by weight, is 1. [worker]
  double operator[](std::uint32_t position) const noexcept {
    return on() ? factors_[position].load(std::memory_order_relaxed) : 1;
  }

  /// What pick answers by shares: one drawn by learned weight for each of `count`, and of these the one with the least
  /// load for its learned weight; LEMONADE_PICK_NONE where luck finds none. Where it is on. [worker]
  std::uint32_t leastOfDrawn(const lemonade_connection_t& connection, std::uint32_t count) const noexcept {
    if (candidates_->size() == 0) return LEMONADE_PICK_NONE;
    std::uint32_t best = LEMONADE_PICK_NONE, found = 0;
    double least = 0;
    for (std::uint32_t n = 0; n < kDraws && found < count; ++n) {
      const std::uint32_t position = candidates_->drawn(connection, n);
      const double luck = static_cast<double>(nthRandom(connection.random, kDraws + n)) * 0x1p-64;
      if (luck * fastest_.load(std::memory_order_relaxed) >= (*this)[position]) continue;
      const auto& candidate = (*candidates_)[position];
      if (candidate.full() || wasTried(connection, candidate.index) || candidate.index == best) continue;
      const double load = candidate.load(candidate.active()) / (*this)[position];
      if (found++ == 0 || load < least) {
        least = load;
        best = candidate.index;
      }
    }
    return best;
  }

  /// Learns what is new, once in a while; to be called before each pick. [worker]
  void renew(std::uint64_t now_ns) const noexcept {
    if (!on()) return;
    auto last = renewed_at_.load(std::memory_order_relaxed);
    // Signed: another worker's clock may be a little ahead.
    if (static_cast<std::int64_t>(now_ns - last) < kStepNs + kStepForEachNs * candidates_->size()) [[likely]]
      return;
    if (renewed_at_.compare_exchange_strong(last, now_ns, std::memory_order_relaxed))
      learn(last == 0 ? kStepNs : static_cast<std::int64_t>(now_ns - last));
  }

 private:
  static bool wasTried(const lemonade_connection_t& connection, std::uint32_t index) noexcept {
    const auto* const end = connection.tried + connection.tried_count;
    return std::find(connection.tried, end, index) != end;
  }

  static constexpr std::uint32_t kDraws = 64;
  static constexpr std::int64_t kStepNs = 20'000'000;
  static constexpr std::int64_t kStepForEachNs = 20'000;  // a large pool takes a while to reckon
  static constexpr double kMemoryNs = 5e9;
  static constexpr double kMost = 16;

  /// By whichever worker comes first. Apart, so that the many picks in between do not carry its registers.
  [[gnu::noinline, gnu::cold]] void learn(std::int64_t since_ns) const noexcept {
    const double fresh = 1 - std::exp(-static_cast<double>(since_ns) / kMemoryNs);
    for (std::uint32_t i = 0; i < candidates_->size(); ++i) {
      const auto& stats = *(*candidates_)[i].stats;
      const double exchange = lemonade_load_f64(&stats.exchange_ewma_ns);
      const double sample = exchange > 0 ? exchange : lemonade_load_f64(&stats.connect_ewma_ns);
      if (sample <= 0) continue;
      const double before = known_[i]->response_ns.load(std::memory_order_relaxed);
      const double response = before > 0 ? before + (sample - before) * fresh : sample;
      known_[i]->response_ns.store(response, std::memory_order_relaxed);
      known_[i]->mean_ns.store(exchange > 0 ? meanOf(response, *(*candidates_)[i].speed) : response,
                               std::memory_order_relaxed);
    }
    reckon();
  }

  /// The geometric mean of a response time and of an exchange alone; the response time where that is not told.
  static double meanOf(double response_ns, const lemonade_backend_speed_t& speed) noexcept {
    const double root = lemonade_load_f32(&speed.root[LEMONADE_SPEED_SPANS - 1]);
    return root > 0 ? std::sqrt(response_ns) * root : response_ns;
  }

  /// Makes speeds of the means.
  void reckon() const noexcept {
    double weight = 0, speed = 0;
    for (std::uint32_t i = 0; i < candidates_->size(); ++i) {
      const double mean = known_[i]->mean_ns.load(std::memory_order_relaxed);
      if (mean <= 0) continue;
      weight += (*candidates_)[i].weight;
      speed += (*candidates_)[i].weight / mean;
    }
    if (speed <= 0) return;
    const auto factorOf = [&](std::uint32_t i) {
      const double mean = known_[i]->mean_ns.load(std::memory_order_relaxed);
      return mean > 0 ? std::clamp(std::pow(weight / speed / mean, power_), 1 / kMost, kMost) : 1;
    };
    double weights = 0, products = 0, fastest = 0;
    for (std::uint32_t i = 0; i < candidates_->size(); ++i) {
      weights += (*candidates_)[i].weight;
      products += (*candidates_)[i].weight * factorOf(i);
    }
    for (std::uint32_t i = 0; i < candidates_->size(); ++i) {
      const double factor = factorOf(i) * weights / products;
      factors_[i].store(factor, std::memory_order_relaxed);
      fastest = std::max(fastest, factor);
    }
    fastest_.store(fastest, std::memory_order_relaxed);
  }

  const Candidates* candidates_ = nullptr;
  const double power_ = 1;
  std::vector<std::shared_ptr<LearnedSpeed>> known_;
  mutable std::vector<std::atomic<double>> factors_;  // by position
  mutable std::atomic<double> fastest_{1};            // of the factors
  mutable std::atomic<std::uint64_t> renewed_at_{0};
};

/// ", and its speed counts as 1.50": of the candidate at this position. [worker]
inline void explainSpeed(const LearnedWeights& learned, std::uint32_t position, Reason& reason) noexcept {
  reason.add(", and its speed counts as ").add(learned[position], 2);
}

}  // namespace lemonade::sdk
