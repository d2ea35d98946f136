// SPDX-License-Identifier: MIT
//
// Reasons that strategies share: what they compared, in words. For why(), of the backend that was picked.
#pragma once

#include <lemonade/sdk/candidates.hpp>

namespace lemonade::sdk {

/// "the fewest sessions by weight: 3 of weight 2 are 2.00 with this one, of 5 backends"; among says of how many.
/// [worker]
template <class Prepared, class Lane>
void explainLoad(const Pick<Prepared, Lane>& pick, std::uint32_t index, std::string_view among,
                 Reason& reason) noexcept {
  const lemonade_backend_t& backend = pick.view[index];
  const std::uint32_t sessions = active(backend);
  reason.add("the fewest sessions by weight: ").add(sessions).add(" of weight ").add(backend.weight).add(" are ");
  reason.add((sessions + 1.0) / (backend.weight != 0 ? backend.weight : 1), 2).add(" with this one, of ").add(among);
}

/// "5 backends", or "some drawn of 100" where not all are compared. [worker]
inline void explainAmong(std::uint32_t backends, Reason& among) noexcept {
  if (backends <= Candidates::kSmall)
    among.add(backends).add(backends == 1 ? " backend" : " backends");
  else
    among.add("some drawn of ").add(backends);
}

/// "the least time for its load: answers take 12.0 ms on average, 3 sessions of which 1 is quiet and 2 wait, of 5
/// backends". [worker]
template <class Prepared, class Lane>
void explainLatency(const Pick<Prepared, Lane>& pick, std::uint32_t index, Reason& reason) noexcept {
  const auto& stats = *pick.view[index].stats;
  const double exchange = lemonade_load_f64(&stats.exchange_ewma_ns),
               connect = lemonade_load_f64(&stats.connect_ewma_ns);
  if (exchange > 0)
    reason.add("the least time for its load: answers take ").add(exchange / 1e6, 2).add(" ms on average, ");
  else if (connect > 0)
    reason.add("the least time for its load: connecting takes ").add(connect / 1e6, 2).add(" ms on average, ");
  else
    reason.add("nothing is known of it yet: ");
  reason.add(lemonade_load_u32(&stats.active)).add(" sessions of which ").add(lemonade_load_u32(&stats.quiet));
  reason.add(" are quiet and ").add(lemonade_load_u32(&stats.waiting)).add(" wait, of ");
  explainAmong(static_cast<std::uint32_t>(pick.view.eligible().size()), reason);
}

}  // namespace lemonade::sdk
