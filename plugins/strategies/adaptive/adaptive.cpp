// SPDX-License-Identifier: MIT
//
// Adaptive: the least latency * work, where work is what a backend owes rather than how many sessions it has.
//
//   work = (1 + sessions that are not quiet + 0.3 * quiet ones) / weight, slow start included
//
// A session is quiet when it was answered and has asked nothing since. It may be idle, or be receiving a long answer,
// or be about to ask; any other is work for sure. Where nobody answers exchanges, as with one-way protocols, work is
// sessions. What is believed of latency, and the handicap of a backend that fails, is sdk/latency_book.hpp; why no
// backend is called overloaded here is docs/decisions/0008-adaptive-multiplies.md.
#include <lemonade/sdk/latency_strategy.hpp>

namespace {

namespace sdk = lemonade::sdk;

class Adaptive : public sdk::LatencyStrategy {
 public:
  static constexpr lemonade_option_t kOptions[] = {kHalfLife};

  using LatencyStrategy::LatencyStrategy;

  std::uint32_t pick(const sdk::Pick<sdk::LatencyBook>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& book = *pick.prepared;
    book.renew(pick.connection);
    sdk::Shortlist list;
    book.candidates().shortlist(pick.connection, list, [&](std::uint32_t position, std::uint32_t active) {
      return book.score(position, active, work(book.candidates()[position], active), pick.connection);
    });
    return least(book, list, 1);
  }

 private:
  static constexpr double kQuietShare = 0.3;

  static double work(const sdk::Candidate& candidate, std::uint32_t active) noexcept {
    const std::uint32_t quiet = std::min(lemonade_load_u32(&candidate.stats->quiet), active);
    return (1 + (active - quiet) + kQuietShare * quiet) * candidate.load_per_session;
  }
};

}  // namespace

LEMONADE_STRATEGY(Adaptive, .id = "adaptive", .version = "1.0.0", .name = "Adaptive", .vendor = "Lemonade",
                  .doc = "Picks the least product of response time and work that is owed. The one to leave on.")
