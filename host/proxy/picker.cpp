// SPDX-License-Identifier: MIT
#include "proxy/picker.h"

#include "balance/plugin_address.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

#include <random>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kSlowPick = 100'000'000;
constexpr std::uint64_t kLongPick = 20'000'000;          // more than a tick of the coarse clock
constexpr std::uint32_t kTimedOf = 64;                   // picks, one is timed by the clock that costs more
constexpr std::uint64_t kBetweenLines = 10'000'000'000;  // between two lines about the same trouble

void describe(const Picker::Asker& asker, lemonade_connection_t& connection) noexcept {
  connection.attempt = asker.attempt;
  connection.client_family = writeAddress(asker.client, connection.client_address);
  connection.client_port = asker.client.port();
  connection.local_port = asker.local_port;
  connection.listener = {asker.listener.data(), asker.listener.size()};
}

}  // namespace

Picker::Picker(std::uint32_t worker) : worker_(worker) {
  std::random_device seed;
  random_state_ = (std::uint64_t{seed()} << 32) | seed();
}

std::uint64_t Picker::random() noexcept { return splitmix64(random_state_ += kSplitmix64Step); }

Picker::Answer Picker::pick(PoolSessions& at_pool, const Asker& asker, std::uint64_t now) noexcept {
  lemonade_connection_t connection{};
  connection.struct_size = sizeof(connection);
  connection.now_ns = now;
  connection.random = random();
  connection.worker = worker_;
  describe(asker, connection);

  Pool& pool = at_pool.pool;
  // Before the clock is looked at: the shadow's time is none of the strategy's.
  const ShadowAnswer shadow = pool.askShadow(connection, asker.tried, &asker.destination);
  const bool timed = picks_++ % kTimedOf == 0 || pool.settings().times_all_picks.load(std::memory_order_relaxed);
  const std::uint64_t asked_at = timed ? nowNs() : coarseNs();
  const Picked picked = pool.pick(connection, asker.tried, &asker.destination, asker.scope);
  const std::uint64_t took = (timed ? nowNs() : coarseNs()) - asked_at;
  if (timed || took > kLongPick) [[unlikely]]
    noteTime(at_pool.at, took, timed, now);
  if (took > kSlowPick) reportSlow(at_pool, picked, took, now);
  if (picked.invalid) reportInvalid(at_pool, now);
  if (picked.declined) at_pool.at.declined_picks.add();
  return {picked, pool.settle(shadow, picked, connection)};
}

void Picker::reportInvalid(PoolSessions& at_pool, std::uint64_t now) noexcept {
  at_pool.at.counters.invalid_picks.add();
  if (now - at_pool.invalid_logged_at < kBetweenLines && at_pool.invalid_logged_at != 0) return;
  at_pool.invalid_logged_at = now;
  log::error("proxy", "the strategy gave an answer that cannot be used, round robin answered in its place",
             {{"pool", at_pool.pool.name()}});
}

void Picker::noteTime(PoolAtWorker& at, std::uint64_t took, bool timed, std::uint64_t now) noexcept {
  at.slowest_pick.note(now, took);
  if (!timed) return;
  at.counters.picks_timed.add();
  at.counters.pick_ns.add(took);
  at.pick_time.record(took);
}

void Picker::reportSlow(PoolSessions& at_pool, const Picked& picked, std::uint64_t took, std::uint64_t now) noexcept {
  at_pool.at.counters.slow_picks.add();
  if (picked.asked == nullptr || (now - at_pool.slow_logged_at < kBetweenLines && at_pool.slow_logged_at != 0)) return;
  at_pool.slow_logged_at = now;
  log::warning("proxy", "a pick took over 100 ms, and everything else of its worker waited",
               {{"pool", at_pool.pool.name()},
                {"strategy", picked.asked->id},
                {"generation", picked.asked->number},
                {"took_ms", took / 1'000'000}});
}

bool mayQueue(const Pool& pool, const Picked& picked) noexcept {
  const auto& settings = pool.settings();
  const bool may_come = picked.full || settings.awaits_checks.load(std::memory_order_relaxed);
  return picked.what == Picked::What::kNone && may_come &&
         settings.queue_timeout_ns.load(std::memory_order_relaxed) != 0;
}

}  // namespace lemonade::proxy
