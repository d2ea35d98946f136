// SPDX-License-Identifier: MIT
//
// C3: each answer says how many requests wait at its server and how long that worked on this one. The least of
// R - 1/mu + (1 + os * w + q)^3 / mu, with averages of response time R, service time 1/mu and queue q, the number os of
// its own requests there, and the number w of clients, which here are balancers.
#include "simulation/contender.h"

#include <lemonade/sdk/sampling.hpp>

namespace lemonade::sim {

namespace {

class C3 final : public Contender {
 public:
  explicit C3(Inside& inside) : inside_(inside), known_(inside.servers()) {}

  std::uint32_t pick(const lemonade_connection_t& connection, const lemonade_view_t& view, std::uint64_t&) override {
    std::uint32_t best = LEMONADE_PICK_NONE;
    double least = 0;
    for (std::uint32_t n = 0; n < view.eligible_count; ++n) {
      const std::uint32_t server = view.eligible[(connection.random + n) % view.eligible_count];
      if (lemonade_may_pick(&connection, &view, server) == 0) continue;
      const double score = scoreOf(known_[server], *lemonade_view_backend(&view, server)->stats);
      if (best != LEMONADE_PICK_NONE && !(score < least)) continue;
      best = server;
      least = score;
    }
    return best;
  }

  void event(const lemonade_strategy_event_t& event, std::uint32_t server) override {
    if (event.type != LEMONADE_EVENT_EXCHANGE) return;
    Known& known = known_[server];
    average(known.response_ns, static_cast<double>(event.value_ns), known.any);
    average(known.service_ns, inside_.lastServiceNs(server), known.any);
    average(known.queue, inside_.inFlight(server), known.any);
    known.any = true;
  }

 private:
  struct Known {
    double response_ns = 0;
    double service_ns = 0;
    double queue = 0;
    bool any = false;
  };

  static void average(double& field, double sample, bool any) { field = any ? 0.9 * field + 0.1 * sample : sample; }

  double scoreOf(const Known& known, const lemonade_backend_stats_t& stats) const {
    const double outstanding = stats.active - std::min(stats.active, stats.quiet);
    const double queue = 1 + outstanding * inside_.balancers() + known.queue;
    return known.response_ns - known.service_ns + queue * queue * queue * known.service_ns;
  }

  Inside& inside_;
  std::vector<Known> known_;
};

}  // namespace

std::unique_ptr<Contender> makeC3(Inside& inside) { return std::make_unique<C3>(inside); }

}  // namespace lemonade::sim
