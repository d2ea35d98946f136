// SPDX-License-Identifier: MIT
//
// What can be done by who knows everything but the requests: how fast each server is at this moment, and how many
// requests it has. The least time that the request is expected to take there, (n + 1) * slowness where n are at the
// server, so that a slow one that is idle is as good as a fast one with a queue. The sure one adds a standard
// deviation, that of n + 1 pieces of exponential work, (n + 1 + sqrt(n + 1)) * slowness: what few clients wait longer
// than. What these two are behind the oracle is what it is worth to know each request's work. They do not look at how
// long the request under way has taken, which says something where work varies much.
#include "simulation/contender.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lemonade::sim {

namespace {

class Speeds final : public Contender {
 public:
  Speeds(Inside& inside, bool sure) : inside_(inside), sure_(sure) {}

  std::uint32_t pick(const lemonade_connection_t& connection, const lemonade_view_t& view, std::uint64_t&) override {
    std::uint32_t best = LEMONADE_PICK_NONE;
    double least = std::numeric_limits<double>::infinity();
    for (std::uint32_t n = 0; n < view.eligible_count; ++n) {
      const std::uint32_t server = view.eligible[(connection.random + n) % view.eligible_count];
      if (lemonade_may_pick(&connection, &view, server) == 0) continue;
      const double time = takes(server, *lemonade_view_backend(&view, server)->stats);
      if (best != LEMONADE_PICK_NONE && !(time < least)) continue;
      best = server;
      least = time;
    }
    return best;
  }
  void event(const lemonade_strategy_event_t&, std::uint32_t) override {}

 private:
  /// In times of a healthy server for one request.
  double takes(std::uint32_t server, const lemonade_backend_stats_t& stats) const {
    // Its own that are on their way there count, too.
    const std::uint32_t own = stats.active - std::min(stats.active, stats.quiet);
    const double requests = 1.0 + std::max(inside_.inFlight(server), own);
    return (sure_ ? requests + std::sqrt(requests) : requests) * inside_.slowness(server);
  }

  Inside& inside_;
  const bool sure_;
};

}  // namespace

std::unique_ptr<Contender> makeSpeeds(Inside& inside, bool sure) { return std::make_unique<Speeds>(inside, sure); }

}  // namespace lemonade::sim
