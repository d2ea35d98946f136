// SPDX-License-Identifier: MIT
#include "balance/pick_recorder.h"

#include <algorithm>
#include <cstring>

namespace lemonade {

namespace {

SeenBackend seen(const lemonade_connection_t& connection, const lemonade_view_t& view, std::uint32_t index) noexcept {
  const lemonade_backend_t& backend = *lemonade_view_backend(&view, index);
  const auto& stats = *backend.stats;
  const auto* const tried = connection.tried;
  SeenBackend one;
  one.identity = backend.identity;
  one.weight = backend.weight;
  one.effective_weight = backend.effective_weight;
  one.max_connections = backend.max_connections;
  one.eligible = (backend.flags & LEMONADE_BACKEND_ELIGIBLE) != 0;
  one.tried = std::find(tried, tried + connection.tried_count, index) != tried + connection.tried_count;
  one.stats.active = lemonade_load_u32(&stats.active);
  one.stats.waiting = lemonade_load_u32(&stats.waiting);
  one.stats.connect_ewma_ns = lemonade_load_f64(&stats.connect_ewma_ns);
  one.stats.exchange_ewma_ns = lemonade_load_f64(&stats.exchange_ewma_ns);
  one.stats.sampled_at_ns = lemonade_load_u64(&stats.sampled_at_ns);
  one.stats.failed_at_ns = lemonade_load_u64(&stats.failed_at_ns);
  one.stats.fail_streak = lemonade_load_u32(&stats.fail_streak);
  one.stats.error_rate = lemonade_load_f32(&stats.error_rate);
  one.stats.picks = lemonade_load_u32(&stats.picks);
  one.stats.quiet = lemonade_load_u32(&stats.quiet);
  one.mean_wait_ns = lemonade_mean_wait_ns(&stats, connection.now_ns);
  return one;
}

}  // namespace

PickRecorder::PickRecorder(std::uint32_t workers, std::uint64_t until_ns) : until_ns_(until_ns) {
  const std::uint32_t each = std::max(4u, kMostPicks / std::max(1u, workers));
  rings_.grow(workers);
  for (std::uint32_t i = 0; i < workers; ++i) rings_[i].records.resize(each);
}

// Those that may be picked first, then the others, as far as there is room.
void PickRecorder::write(PickRecord& to, const lemonade_connection_t& connection, const lemonade_view_t& view,
                         std::uint32_t answer) noexcept {
  to.now_ns = connection.now_ns;
  std::memcpy(to.client_address, connection.client_address, sizeof(to.client_address));
  to.client_family = connection.client_family;
  to.client_port = connection.client_port;
  to.attempt = connection.attempt;
  to.worker = connection.worker;
  to.view = view.serial;
  to.answer = answer;
  to.identity = answer < view.backend_count ? lemonade_view_backend(&view, answer)->identity : 0;
  to.priority = view.eligible_count == 0 ? 0 : lemonade_view_backend(&view, view.eligible[0])->priority;
  to.backends = 0;
  to.backends_of_all = view.backend_count;
  const auto add = [&](std::uint32_t index) {
    if (to.backends < PickRecord::kMostBackends) to.seen[to.backends++] = seen(connection, view, index);
  };
  if (answer < view.backend_count) add(answer);
  for (std::uint32_t i = 0; i < view.eligible_count; ++i)
    if (view.eligible[i] != answer) add(view.eligible[i]);
  for (std::uint32_t i = 0; i < view.backend_count && to.backends < PickRecord::kMostBackends; ++i)
    if (i != answer && (lemonade_view_backend(&view, i)->flags & LEMONADE_BACKEND_ELIGIBLE) == 0) add(i);
}

std::vector<PickRecord> PickRecorder::records() {
  std::vector<PickRecord> all;
  for (std::uint32_t worker = 0; worker < rings_.size(); ++worker) {
    Ring& ring = rings_[worker];
    const std::lock_guard lock(ring.mutex);
    const auto kept = static_cast<std::size_t>(std::min<std::uint64_t>(ring.count, ring.records.size()));
    all.insert(all.end(), ring.records.begin(), ring.records.begin() + static_cast<std::ptrdiff_t>(kept));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& one, const auto& other) { return one.now_ns < other.now_ns; });
  return all;
}

}  // namespace lemonade
