// SPDX-License-Identifier: MIT
//
// The totals among the counters, by name: for whoever stores, adds up or takes over all of them. A test holds the lists
// to the structs.
#pragma once

#include "balance/counters.h"

#include <cstddef>

namespace lemonade {

/// Visits the name of each counter of a backend, and where it is: a Counter or a Histogram.
template <class Visit>
void forEachTotal(const BackendCounters*, Visit&& visit) {
  visit("sessions", &BackendCounters::sessions);
  visit("connect_refused", &BackendCounters::connect_refused);
  visit("connect_timeouts", &BackendCounters::connect_timeouts);
  visit("connect_errors", &BackendCounters::connect_errors);
  visit("resets", &BackendCounters::resets);
  visit("early_closes", &BackendCounters::early_closes);
  visit("idle_timeouts", &BackendCounters::idle_timeouts);
  visit("exchanges", &BackendCounters::exchanges);
  visit("bytes_in", &BackendCounters::bytes_in);
  visit("bytes_out", &BackendCounters::bytes_out);
  visit("shadowed_picks", &BackendCounters::shadowed_picks);
  visit("shadow_picks", &BackendCounters::shadow_picks);
  visit("connect_time", &BackendCounters::connect_time);
  visit("exchange_time", &BackendCounters::exchange_time);
  visit("duration", &BackendCounters::duration);
}

/// The same of a listener, without `sessions`, which counts what is now. Names are none of a pool: the sums of both
/// stand beside each other in a handover.
template <class Visit>
void forEachTotal(const ListenerCounters*, Visit&& visit) {
  visit("accepted", &ListenerCounters::accepted);
  visit("waited", &ListenerCounters::waited);
  visit("client_resets", &ListenerCounters::client_resets);
  visit("accept_errors", &ListenerCounters::accept_errors);
  visit("no_memory", &ListenerCounters::no_memory);
  visit("drain_closed", &ListenerCounters::drain_closed);
  visit("header_untrusted", &ListenerCounters::header_untrusted);
  visit("header_malformed", &ListenerCounters::header_malformed);
  visit("header_timeouts", &ListenerCounters::header_timeouts);
  visit("header_closed", &ListenerCounters::header_closed);
  visit("listener_no_backend", &ListenerCounters::no_backend);
  visit("listener_connect_failed", &ListenerCounters::connect_failed);
  visit("listener_queue_timeouts", &ListenerCounters::queue_timeouts);
  visit("listener_backend_resets", &ListenerCounters::backend_resets);
  visit("listener_early_closes", &ListenerCounters::early_closes);
  visit("listener_full_ns", &ListenerCounters::full_ns);
  visit("unasked", &ListenerCounters::unasked);
  visit("dropped_full", &ListenerCounters::dropped_full);
  visit("dropped_queued", &ListenerCounters::dropped_queued);
}

/// The same of a pool, without `sessions` and `queued`, which count what is now.
template <class Visit>
void forEachTotal(const PoolCounters*, Visit&& visit) {
  visit("queued_total", &PoolCounters::queued_total);
  visit("queue_timeouts", &PoolCounters::queue_timeouts);
  visit("retries", &PoolCounters::retries);
  visit("no_backend", &PoolCounters::no_backend);
  visit("connect_failed", &PoolCounters::connect_failed);
  visit("strategy_rejected", &PoolCounters::strategy_rejected);
  visit("abandoned", &PoolCounters::abandoned);
  visit("invalid_picks", &PoolCounters::invalid_picks);
  visit("slow_picks", &PoolCounters::slow_picks);
  visit("descriptor_waits", &PoolCounters::descriptor_waits);
  visit("port_waits", &PoolCounters::port_waits);
  visit("clients", &PoolCounters::clients);
  visit("backend_resets", &PoolCounters::backend_resets);
  visit("early_closes", &PoolCounters::early_closes);
  visit("full_ns", &PoolCounters::full_ns);
  visit("picks_timed", &PoolCounters::picks_timed);
  visit("pick_ns", &PoolCounters::pick_ns);
  visit("shadow_same", &PoolCounters::shadow_same);
  visit("shadow_other", &PoolCounters::shadow_other);
  visit("shadow_none", &PoolCounters::shadow_none);
  visit("parted_rebalance", &PoolCounters::parted_rebalance);
  visit("parted_max_age", &PoolCounters::parted_max_age);
  visit("parted_crossed", &PoolCounters::parted_crossed);
  visit("queue_time", &PoolCounters::queue_time);
}

inline void add(Counter& sum, const Counter& more) noexcept { sum.add(more.value()); }
inline void add(Histogram& sum, const Histogram& more) noexcept {
  auto both = sum.sum();
  both.add(more);
  sum.set(both);
}
inline void assign(Counter& to, const Counter& from) noexcept { to.set(from.value()); }
inline void assign(Histogram& to, const Histogram& from) noexcept { to.set(from.sum()); }

/// Adds each total of more to that of sum, which nobody else writes.
template <class Counters>
void addTotals(Counters& sum, const Counters& more) noexcept {
  forEachTotal(&sum, [&](const char*, auto total) { add(sum.*total, more.*total); });
}

/// Makes each total of to that of from; others may read it meanwhile.
template <class Counters>
void assignTotals(Counters& to, const Counters& from) noexcept {
  forEachTotal(&to, [&](const char*, auto total) { assign(to.*total, from.*total); });
}

}  // namespace lemonade
