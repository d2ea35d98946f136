// SPDX-License-Identifier: MIT
//
// Consistent hashing: a client comes to the same backend again, on every balancer, and hardly any client moves when a
// backend comes or goes (sdk/maglev_table.hpp). With bounded load (Mirrokni, Thorup, Zadimoghaddam 2018): a backend
// with more than `load_factor` times its share of the sessions passes the client on to the next place of the table.
// With learn_weights that share goes by the speed that a backend has shown, too; the table does not. A slow backend is
// worth less than a session at times, so its bound is not rounded up for all: it passes some clients on, always the
// same. What is passed on goes to the next two on the table that have room, to the one with less load for its speed.
#include <lemonade/sdk/candidates.hpp>
#include <lemonade/sdk/learned_weights.hpp>
#include <lemonade/sdk/maglev_table.hpp>

namespace {

namespace sdk = lemonade::sdk;

/// The table of one view, and how many sessions the pool has.
class Ring {
 public:
  explicit Ring(sdk::View view) : candidates_(view), table_(members(view, candidates_), view.size()) {
    for (std::uint32_t i = 0; i < candidates_.size(); ++i) whole_ += candidates_[i].weight;
  }
  Ring(sdk::View view, sdk::LearnedSpeeds& speeds) : Ring(view) {
    learned_ = std::make_unique<sdk::LearnedWeights>(view, candidates_, speeds, kPower);
  }

  const sdk::Candidates& candidates() const noexcept { return candidates_; }
  const sdk::MaglevTable& table() const noexcept { return table_; }
  /// Null where none are.
  const sdk::LearnedWeights* learned() const noexcept { return learned_.get(); }

  /// Sessions for each unit of weight, over the pool, if one more came. Exact in a pool of up to 16; of a larger one it
  /// is renewed once a millisecond from up to 256 backends.
  double fairLoad(const lemonade_connection_t& connection) const noexcept {
    if (candidates_.small()) {
      std::uint64_t sessions = 1;
      for (std::uint32_t i = 0; i < candidates_.size(); ++i) sessions += candidates_[i].active();
      return static_cast<double>(sessions) / whole_;
    }
    auto last = renewed_at_.load(std::memory_order_relaxed);
    const bool stale = static_cast<std::int64_t>(connection.now_ns - last) >= kFreshNs;
    if (stale && renewed_at_.compare_exchange_strong(last, connection.now_ns, std::memory_order_relaxed))
      fair_load_.store(survey(connection), std::memory_order_relaxed);
    return fair_load_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr double kPower = 2;
  static constexpr std::int64_t kFreshNs = 1'000'000;
  static constexpr std::uint32_t kSample = 256;

  /// Named by id; where several addresses share one, by both.
  static std::vector<sdk::MaglevTable::Member> members(sdk::View view, const sdk::Candidates& candidates) {
    std::vector<std::string_view> ids;
    for (std::uint32_t i = 0; i < view.size(); ++i) ids.push_back(sdk::view(view[i].id));
    std::sort(ids.begin(), ids.end());
    std::vector<sdk::MaglevTable::Member> members;
    for (std::uint32_t position = 0; position < candidates.size(); ++position) {
      const auto& backend = view[candidates[position].index];
      const auto same = std::equal_range(ids.begin(), ids.end(), sdk::view(backend.id));
      std::string name(sdk::view(backend.id));
      if (same.second - same.first > 1) (name += '\0') += sdk::view(backend.address);
      members.push_back({std::move(name), backend.effective_weight, position});
    }
    return members;
  }

  double survey(const lemonade_connection_t& connection) const noexcept {
    const std::uint32_t size = candidates_.size(), count = std::min(size, kSample);
    auto at = static_cast<std::uint32_t>((connection.random >> 32) * size >> 32);
    double sessions = 0;
    for (std::uint32_t n = 0; n < count; ++n) {
      sessions += candidates_[at].active();
      at += size / count;
      if (at >= size) at -= size;
    }
    return (sessions * size / count + 1) / whole_;
  }

  // Constant after construction.
  const sdk::Candidates candidates_;
  const sdk::MaglevTable table_;
  double whole_ = 0;  // the sum of the weights
  std::unique_ptr<const sdk::LearnedWeights> learned_;

  // Any worker (atomic).
  mutable std::atomic<std::uint64_t> renewed_at_{0};
  mutable std::atomic<double> fair_load_{std::numeric_limits<double>::infinity()};
};

class ConsistentHash : public sdk::Strategy {
 public:
  using Prepared = Ring;

  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("key", LEMONADE_OPTION_CHOICE, "client_address",
                  "What of a connection decides its backend: the client's address, or address and port.", 0, 0,
                  "client_address,client_address_port"),
      sdk::option("load_factor", LEMONADE_OPTION_NUMBER, "1.25",
                  "A backend takes at most this many times its share of the sessions; 0: no bound, else above 1.", 0,
                  100),
      sdk::kLearnWeights,
  };

  explicit ConsistentHash(const sdk::Options& options)
      : with_port_(options.text("key") == "client_address_port"),
        load_factor_(options.number("load_factor")),
        learns_(options.boolean("learn_weights")) {
    if (load_factor_ == 0 && learns_)
      throw sdk::OptionError("learn_weights",
                             "it bends the bound of the load, and load_factor = 0 says that there is none");
    if (load_factor_ != 0 && load_factor_ <= 1)
      throw sdk::OptionError("load_factor", "a backend cannot be held to its share or less: 0 (no bound) or above 1");
  }

  std::unique_ptr<Ring> prepare(sdk::View view) {
    return learns_ ? std::make_unique<Ring>(view, speeds_) : std::make_unique<Ring>(view);
  }

  std::uint32_t pick(const sdk::Pick<Ring>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const Ring& ring = *pick.prepared;
    if (ring.table().size() == 0) return LEMONADE_PICK_NONE;
    const std::uint64_t hash = keyOf(pick.connection);
    if (load_factor_ != 0) {
      const double fair = ring.fairLoad(pick.connection);
      if (ring.learned() != nullptr) [[unlikely]]
        return learnedBounded(pick, hash, fair);
      const double limit = load_factor_ * fair;
      // A bound is rounded up, so that the sum of all has room for all sessions: below n + 1 <= ceil(limit * weight).
      const auto bounded = walk(pick, hash, [limit](const sdk::Candidate& candidate, std::uint32_t active) {
        return active < limit * candidate.weight;
      });
      if (bounded != LEMONADE_PICK_NONE) return bounded;
    }
    return unbounded(pick, hash);
  }

  void why(const sdk::Pick<Ring>& pick, std::uint32_t index, sdk::Reason& reason) noexcept {
    if (pick.prepared == nullptr || pick.prepared->table().size() == 0) return;
    const Ring& ring = *pick.prepared;
    const auto& own = ring.candidates()[ring.table().at(ring.table().placeOf(keyOf(pick.connection)))];
    if (own.index == index) return void(reason.add("the backend of this client's key"));
    reason.add(ring.learned() != nullptr ? "of the next two of the table" : "the next place of the table");
    reason.add(": the backend of this client's key, ").add(sdk::view(pick.view[own.index].id));
    if (wasTried(pick.connection, own.index)) return void(reason.add(", has failed it or was full"));
    reason.add(", has ").add(own.active()).add(" sessions");
    if (load_factor_ == 0) return;
    const double fair = ring.fairLoad(pick.connection);
    const double bound = ring.learned() != nullptr ? LearnedBound(pick, 0, load_factor_, fair).of(own)
                                                   : load_factor_ * fair * own.weight;
    reason.add(" where ").add(bound, 1).add(" are its bound");
  }

 private:
  static constexpr std::uint32_t kMostSteps = 512;
  // Places that are looked at together: how far a client has to walk is luck, which no branch can foresee.
  static constexpr std::uint32_t kStride = 4;
  static_assert(kStride <= 1 + sdk::MaglevTable::kOverhang);

  std::uint64_t keyOf(const lemonade_connection_t& connection) const noexcept {
    std::uint64_t halves[2];
    static_assert(sizeof(halves) == sizeof(connection.client_address));
    std::memcpy(halves, connection.client_address, sizeof(halves));
    if constexpr (std::endian::native == std::endian::big)
      for (auto& half : halves) half = __builtin_bswap64(half);
    const std::uint64_t port = with_port_ ? connection.client_port + 1u : 0;
    return sdk::nthRandom(sdk::nthRandom(halves[0], port) ^ halves[1], 0);
  }

  /// The bounds by learned weights, of one pick.
  class LearnedBound {
   public:
    /// The key has this hash; fair_load is that of the ring.
    LearnedBound(const sdk::Pick<Ring>& pick, std::uint64_t hash, double load_factor, double fair_load) noexcept
        : candidates_(pick.prepared->candidates()),
          learned_(*pick.prepared->learned()),
          luck_(static_cast<double>(sdk::nthRandom(hash, 1)) * 0x1p-64),
          load_factor_(load_factor),
          fair_load_(fair_load) {}

    /// In sessions, not rounded. The share that it is a multiple of is one session at least: a pool that is idle bounds
    /// nobody but the slow.
    double of(const sdk::Candidate& candidate) const noexcept {
      return load_factor_ * std::max(1.0, fair_load_ * candidate.weight) * learned_[positionOf(candidate)];
    }
    /// It is rounded up for a backend of the pool's speed. For one of half of that or less it is rounded up or down by
    /// the key, so that it is always the same clients that stay; between the two it is rounded down for fewer of them.
    bool allows(const sdk::Candidate& candidate, std::uint32_t active) const noexcept {
      const double down = std::clamp(2 * (1 - learned_[positionOf(candidate)]), 0.0, 1.0);
      return active + luck_ * down < of(candidate);
    }
    /// Sessions for each unit of learned weight, if one more came, of the backend with this index in the view.
    double load(std::uint32_t index) const noexcept {
      const auto position = candidates_.positionOf(index);
      return candidates_[position].load(candidates_[position].active()) / learned_[position];
    }

   private:
    std::uint32_t positionOf(const sdk::Candidate& candidate) const noexcept {
      return static_cast<std::uint32_t>(&candidate - &candidates_[0]);
    }

    const sdk::Candidates& candidates_;
    const sdk::LearnedWeights& learned_;
    const double luck_;  // of the key, 0 to 1
    const double load_factor_, fair_load_;
  };

  /// With bounds by learned weights. Apart, so that picks without do not carry its registers.
  [[gnu::noinline]] std::uint32_t learnedBounded(const sdk::Pick<Ring>& pick, std::uint64_t hash,
                                                 double fair_load) const noexcept {
    const Ring& ring = *pick.prepared;
    ring.learned()->renew(pick.connection.now_ns);
    const LearnedBound bound(pick, hash, load_factor_, fair_load);
    const std::uint32_t own = ring.candidates()[ring.table().at(ring.table().placeOf(hash))].index;
    const auto first = walk(pick, hash, [&](const sdk::Candidate& candidate, std::uint32_t active) {
      return bound.allows(candidate, active);
    });
    if (first == LEMONADE_PICK_NONE) return unbounded(pick, hash);
    if (first == own) return own;
    const auto second = walk(pick, hash, [&](const sdk::Candidate& candidate, std::uint32_t active) {
      return candidate.index != first && bound.allows(candidate, active);
    });
    return second != LEMONADE_PICK_NONE && bound.load(second) < bound.load(first) ? second : first;
  }

  static std::uint32_t unbounded(const sdk::Pick<Ring>& pick, std::uint64_t hash) noexcept {
    const auto any = walk(pick, hash, [](const sdk::Candidate&, std::uint32_t) { return true; });
    return any != LEMONADE_PICK_NONE ? any : search(pick, hash);
  }

  /// The first place from the key's on whose backend the connection may be given and `takes` accepts.
  template <class Takes>
  static std::uint32_t walk(const sdk::Pick<Ring>& pick, std::uint64_t hash, Takes&& takes) noexcept {
    const auto& table = pick.prepared->table();
    const auto& candidates = pick.prepared->candidates();
    std::uint32_t place = table.placeOf(hash);
    for (std::uint32_t step = 0; step < kMostSteps; step += kStride) {
      std::uint32_t taking = 0;  // bit i: the backend i places on
#pragma GCC unroll 4
      for (std::uint32_t i = 0; i < kStride; ++i) {
        const auto& candidate = candidates[table.at(place + i)];
        taking |= static_cast<std::uint32_t>(takes(candidate, candidate.active())) << i;
      }
      for (; taking != 0; taking &= taking - 1) {
        const auto& candidate = candidates[table.at(place + static_cast<std::uint32_t>(std::countr_zero(taking)))];
        if (!candidate.full() && !wasTried(pick.connection, candidate.index)) return candidate.index;
      }
      place += kStride;
      if (place >= table.size()) place -= table.size();
    }
    return LEMONADE_PICK_NONE;
  }

  static bool wasTried(const lemonade_connection_t& connection, std::uint32_t index) noexcept {
    for (std::uint32_t n = 0; n < connection.tried_count; ++n)
      if (connection.tried[n] == index) return true;
    return false;
  }

  /// Any that may be picked, from a backend on that the key decides: nearly all are full.
  static std::uint32_t search(const sdk::Pick<Ring>& pick, std::uint64_t hash) noexcept {
    const auto& candidates = pick.prepared->candidates();
    auto at = static_cast<std::uint32_t>((hash >> 32) * candidates.size() >> 32);
    for (std::uint32_t n = 0; n < candidates.size(); ++n) {
      if (pick.allowed(candidates[at].index)) return candidates[at].index;
      if (++at == candidates.size()) at = 0;
    }
    return LEMONADE_PICK_NONE;
  }

  const bool with_port_;
  const double load_factor_;
  const bool learns_;
  sdk::LearnedSpeeds speeds_;  // control thread
};

}  // namespace

LEMONADE_STRATEGY(ConsistentHash, .id = "consistent_hash", .version = "1.0.0", .name = "Consistent hash",
                  .vendor = "Lemonade",
                  .doc = "Sends a client to the same backend again; few clients move when a backend comes or goes.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
