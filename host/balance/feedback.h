// SPDX-License-Identifier: MIT
//
// Keeps the live numbers of a backend true: every function below is one thing that happened to one of its sessions. All
// are wait-free and run on worker threads; averages tolerate a lost update between two workers, counts do not lose any.
#pragma once

#include "balance/backend.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

namespace lemonade::feedback {

namespace detail {

template <class T>
std::atomic_ref<T> cell(T& field) noexcept {
  return std::atomic_ref<T>(field);
}

template <class T>
T load(const T& field) noexcept {
  return std::atomic_ref<T>(const_cast<T&>(field)).load(std::memory_order_relaxed);
}

template <class T>
void store(T& field, T value) noexcept {
  cell(field).store(value, std::memory_order_relaxed);
}

/// Peak EWMA (Finagle): a sample above the average replaces it, one below pulls it down with time constant tau. Longer,
/// a backend that stalled once is shunned long after; shorter, equal backends look less and less equal.
inline void average(double& field, std::uint64_t sample_ns, std::uint64_t since_last_ns) noexcept {
  constexpr double tau_ns = 2e9;
  const double sample = static_cast<double>(sample_ns);
  const double old = load(field);
  const double keep = std::exp(-static_cast<double>(since_last_ns) / tau_ns);
  store(field, sample >= old ? sample : old * keep + sample * (1 - keep));
}

inline void sampled(lemonade_backend_stats_t& stats, double& field, std::uint64_t& sampled_at, std::uint64_t sample_ns,
                    std::uint64_t now_ns) noexcept {
  const std::uint64_t last = load(sampled_at);
  average(field, sample_ns, now_ns > last ? now_ns - last : 0);
  store(sampled_at, now_ns);
  store(stats.sampled_at_ns, now_ns);
}

/// Share of sessions that failed, over the last 32 or so.
inline void outcome(lemonade_backend_stats_t& stats, bool failed) noexcept {
  constexpr float weight = 1.0F / 32;
  const float old = load(stats.error_rate);
  if (!failed && old < 1e-6F) return;
  store(stats.error_rate, old + (static_cast<float>(failed) - old) * weight);
}

/// Takes one sample of a backend's speed into what is known of it.
inline void learn(lemonade_backend_speed_t& speed, std::uint64_t sample_ns, std::uint64_t now_ns) noexcept {
  constexpr float kSpans[LEMONADE_SPEED_SPANS] = {4, 32, 256};
  constexpr float kForgetNs = 1e9F;  // half of what is known in so long a pause, or in so many usual ones
  constexpr float kForgetGaps = 16;
  constexpr float kUsualGaps = 4;  // longer ones are pauses
  constexpr float kGapSpan = 16;
  constexpr float kSpreadSpan = 64;
  const float root = std::sqrt(static_cast<float>(sample_ns));
  const std::uint64_t last = load(speed.answered_at_ns);
  const float gap = load(speed.gap_ns);
  const float passed = now_ns > last ? static_cast<float>(now_ns - last) : 0;
  float keep = 1;
  if (gap > 0 && passed > kUsualGaps * gap)
    keep = std::exp2(-(passed - kUsualGaps * gap) / std::max(kForgetNs, kForgetGaps * gap));
  for (int i = 0; i < LEMONADE_SPEED_SPANS; ++i) {
    const float count = std::min(load(speed.count[i]) * keep, kSpans[i] - 1) + 1;
    const float before = load(speed.root[i]);
    store(speed.root[i], before + (root - before) / count);
    store(speed.count[i], count);
  }
  if (last != 0) {
    const float step = root - load(speed.newest);
    const float spread = load(speed.spread);
    const float known = std::min(load(speed.count[LEMONADE_SPEED_SPANS - 1]) - 1, kSpreadSpan);
    store(speed.spread, spread + (step * step / 2 - spread) / std::max(1.0F, known));
    store(speed.gap_ns, gap > 0 ? gap + (passed - gap) / kGapSpan : passed);
  }
  store(speed.newest, root);
  store(speed.answered_at_ns, now_ns);
}

}  // namespace detail

/// Takes one place at the backend; false where its limit is reached. Exact over all workers.
inline bool acquire(Backend& backend) noexcept {
  auto& stats = backend.stats();
  auto active = detail::cell(stats.active);
  const std::uint32_t limit = backend.maxConnections();
  if (limit == 0) {
    active.fetch_add(1, std::memory_order_relaxed);
  } else {
    std::uint32_t now = active.load(std::memory_order_relaxed);
    do {
      if (now >= limit) return false;
    } while (!active.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
  }
  detail::cell(stats.picks).fetch_add(1, std::memory_order_relaxed);
  return true;
}

/// Takes a place whatever the limit: for a connection that is there already, and was not picked here.
inline void occupy(Backend& backend) noexcept {
  detail::cell(backend.stats().active).fetch_add(1, std::memory_order_relaxed);
}

/// Gives the place back; the backend must not be touched afterwards: once nobody holds a place it may be freed.
inline void release(Backend& backend) noexcept {
  detail::cell(backend.stats().active).fetch_sub(1, std::memory_order_release);
}

inline void connected(Backend& backend, std::uint64_t took_ns, std::uint64_t now_ns) noexcept {
  auto& stats = backend.stats();
  detail::sampled(stats, stats.connect_ewma_ns, backend.sampleTimes().connect_ns, took_ns, now_ns);
}

/// A connect failed, or a trial showed that the backend fails its sessions: nothing that a client could cause.
inline void failed(Backend& backend, std::uint64_t now_ns, Backend::Failure how = Backend::Failure::kReset) noexcept {
  auto& stats = backend.stats();
  backend.setLastFailure(how);
  detail::cell(backend.failures()).fetch_add(1, std::memory_order_relaxed);
  detail::cell(stats.fail_streak).fetch_add(1, std::memory_order_relaxed);
  detail::store(stats.failed_at_ns, now_ns);
  detail::outcome(stats, true);
}

/// A session ended by a reset or close of the backend before it answered: its fault, or that of what the client sent.
inline void doubted(Backend& backend, Backend::Failure how) noexcept {
  backend.setLastFailure(how);
  detail::cell(backend.failures()).fetch_add(1, std::memory_order_relaxed);
  detail::cell(backend.doubts()).fetch_add(1, std::memory_order_relaxed);
}

/// Doubts so far, in a row. Any thread.
inline std::uint32_t doubts(Backend& backend) noexcept { return detail::load(backend.doubts()); }

/// It is sure by now that it fails its sessions: so many failures in a row as there were doubts.
inline void convicted(Backend& backend, std::uint64_t now_ns) noexcept {
  auto& stats = backend.stats();
  detail::store(stats.fail_streak, std::max<std::uint32_t>(1, doubts(backend)));
  detail::store(stats.failed_at_ns, now_ns);
}

/// Failures so far, whoever caused them. Any thread.
inline std::uint32_t failures(const Backend& backend) noexcept { return detail::load(backend.failures()); }

/// So many are held against it from now on.
inline void setDoubts(Backend& backend, std::uint32_t doubts) noexcept { detail::store(backend.doubts(), doubts); }

/// So many failures in a row are held against it from now on.
inline void setFailStreak(Backend& backend, std::uint32_t failures) noexcept {
  detail::store(backend.stats().fail_streak, failures);
}

/// It answered, so there is no doubt.
inline void forgetDoubts(Backend& backend) noexcept {
  if (detail::load(backend.doubts()) != 0) setDoubts(backend, 0);
}

/// Its failures are over and no evidence any more. Control thread.
inline void forgetFailures(Backend& backend) noexcept {
  detail::store(backend.stats().fail_streak, std::uint32_t{0});
  detail::store(backend.stats().error_rate, 0.0F);
}

/// A session got its first bytes, or ended well without any.
inline void succeeded(Backend& backend) noexcept {
  auto& stats = backend.stats();
  if (detail::load(stats.fail_streak) != 0) detail::store(stats.fail_streak, std::uint32_t{0});
  detail::outcome(stats, false);
}

/// Answers that a backend owes to some of its sessions.
struct Owed {
  std::uint32_t count = 0;
  std::uint64_t since_sum_us = 0;  ///< the sum of the times, monotonic microseconds, since which it does
};

/// The backend owes what `now` says, where it owed what `before` says; if it owed nobody anything, then since since_ns.
inline void owes(Backend& backend, const Owed& now, const Owed& before, std::uint64_t since_ns) noexcept {
  auto count = detail::cell(backend.stats().waiting);
  auto since_sum = detail::cell(backend.stats().waiting_since_sum_us);
  // In an order in which those that wait seem to have waited too short meanwhile, never too long.
  if (now.count <= before.count) count.fetch_sub(before.count - now.count, std::memory_order_relaxed);
  since_sum.fetch_add(now.since_sum_us - before.since_sum_us, std::memory_order_relaxed);
  if (now.count > before.count && count.fetch_add(now.count - before.count, std::memory_order_relaxed) == 0)
    detail::store(backend.speed().head_since_ns, since_ns);
}

/// So many exchanges more began, the first of them at since_ns, and none was answered since.
inline void askedInVain(Backend& backend, std::uint32_t more, std::uint64_t since_ns) noexcept {
  auto& unanswered = backend.unanswered();
  const std::uint32_t before = detail::load(unanswered.count);
  if (before == 0) detail::store(unanswered.since_ns, since_ns);
  detail::store(unanswered.count, before + more);
}

/// An exchange began: the backend owes an answer.
inline void exchangeStarted(Backend& backend, std::uint64_t now_ns) noexcept {
  owes(backend, {1, now_ns / 1000}, {}, now_ns);
  askedInVain(backend, 1, now_ns);
}

/// A client that the backend owes an answer has said more at that time: nobody waits in vain since before.
inline void askedAnew(Backend& backend, std::uint64_t at_ns) noexcept {
  if (detail::load(backend.stats().waiting) == 1) detail::store(backend.speed().head_since_ns, at_ns);
  detail::store(backend.unanswered().since_ns, at_ns);
}

/// The client of an exchange under way since started_ns says more: its clock starts again.
inline void exchangeRestarted(Backend& backend, std::uint64_t started_ns, std::uint64_t now_ns) noexcept {
  detail::cell(backend.stats().waiting_since_sum_us)
      .fetch_add(now_ns / 1000 - started_ns / 1000, std::memory_order_relaxed);
  askedAnew(backend, now_ns);
}

/// The exchange that began at started_ns ends without an answer: its session is over.
inline void exchangeDropped(Backend& backend, std::uint64_t started_ns) noexcept {
  owes(backend, {}, {1, started_ns / 1000}, 0);
}

/// What is unanswered so far is no evidence any more: an answer came, or the backend gets another chance.
inline void forgetUnanswered(Backend& backend) noexcept { detail::store(backend.unanswered().count, std::uint32_t{0}); }

/// What is unanswered now. Any thread; the two numbers need not belong together.
inline Backend::Unanswered unanswered(Backend& backend) noexcept {
  return {detail::load(backend.unanswered().count), detail::load(backend.unanswered().since_ns)};
}

/// When it last answered an exchange, monotonic nanoseconds; 0: never. Any thread.
inline std::uint64_t answeredAtNs(Backend& backend) noexcept { return detail::load(backend.sampleTimes().exchange_ns); }

/// What the answer at now_ns to the exchange that began at started_ns teaches, whether or not that was among those
/// owed.
inline void answered(Backend& backend, std::uint64_t started_ns, std::uint64_t now_ns) noexcept {
  forgetUnanswered(backend);
  auto& stats = backend.stats();
  detail::sampled(stats, stats.exchange_ewma_ns, backend.sampleTimes().exchange_ns, now_ns - started_ns, now_ns);
  auto& speed = backend.speed();
  const std::uint64_t began = std::max(started_ns, detail::load(speed.answered_at_ns));
  detail::store(speed.head_since_ns, now_ns);
  detail::learn(speed, now_ns > began ? now_ns - began : 0, now_ns);
}

/// The exchange that began at started_ns got the first byte of its answer.
inline void exchangeAnswered(Backend& backend, std::uint64_t started_ns, std::uint64_t now_ns) noexcept {
  exchangeDropped(backend, started_ns);
  answered(backend, started_ns, now_ns);
}

/// What was learnt of its speed, but for what it is working on. Any thread; the numbers need not belong together.
inline lemonade_backend_speed_t speedOf(const Backend& backend) noexcept {
  const auto& speed = backend.speed();
  lemonade_backend_speed_t copy{};
  copy.struct_size = sizeof(copy);
  copy.gap_ns = detail::load(speed.gap_ns);
  copy.answered_at_ns = detail::load(speed.answered_at_ns);
  for (int i = 0; i < LEMONADE_SPEED_SPANS; ++i) {
    copy.root[i] = detail::load(speed.root[i]);
    copy.count[i] = detail::load(speed.count[i]);
  }
  copy.newest = detail::load(speed.newest);
  copy.spread = detail::load(speed.spread);
  return copy;
}

/// This was learnt of its speed before. What no host can have learnt is left out.
inline void setSpeed(Backend& backend, const lemonade_backend_speed_t& learnt) noexcept {
  auto& speed = backend.speed();
  const auto sane = [](float value) { return value >= 0 && value < 1e20F ? value : 0; };
  detail::store(speed.gap_ns, sane(learnt.gap_ns));
  detail::store(speed.answered_at_ns, learnt.answered_at_ns);
  for (int i = 0; i < LEMONADE_SPEED_SPANS; ++i) {
    detail::store(speed.root[i], sane(learnt.root[i]));
    detail::store(speed.count[i], sane(learnt.count[i]));
  }
  detail::store(speed.newest, sane(learnt.newest));
  detail::store(speed.spread, sane(learnt.spread));
}

/// A session was answered and is owed nothing, until it stirs.
inline void becameQuiet(Backend& backend) noexcept {
  detail::cell(backend.stats().quiet).fetch_add(1, std::memory_order_relaxed);
}

/// A quiet session asks again, or is over.
inline void stirred(Backend& backend) noexcept {
  detail::cell(backend.stats().quiet).fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace lemonade::feedback
