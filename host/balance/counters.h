// SPDX-License-Identifier: MIT
//
// What is counted on the data path. Every number has one writer, its worker, and any reader: counting is a plain add,
// and a total is the sum over the workers.
#pragma once

#include "balance/histogram.h"

#include <atomic>
#include <cstdint>

namespace lemonade {

/// A number with one writing thread and any number of reading ones.
class Counter {
 public:
  void add(std::uint64_t amount = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t amount = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) - amount, std::memory_order_relaxed);
  }
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// One worker's numbers of one backend. Bytes in go from client to backend, bytes out back.
struct alignas(64) BackendCounters {
  Counter sessions;          ///< connected, ever
  Counter connect_refused;   ///< connects that failed: refused or reset
  Counter connect_timeouts;  ///< connects that took longer than connect_timeout
  Counter connect_errors;    ///< connects that failed otherwise
  Counter resets;            ///< sessions that the backend reset
  Counter early_closes;      ///< sessions that it closed before its first byte while the client waited
  Counter idle_timeouts;     ///< sessions closed by idle_timeout
  Counter exchanges;
  Counter bytes_in;
  Counter bytes_out;
  Counter shadowed_picks;  ///< of the strategy, where a shadow was asked, too
  Counter shadow_picks;    ///< that the shadow would have sent here
  Histogram connect_time;
  Histogram exchange_time;
  Histogram duration;
};

/// One worker's numbers of one pool; full_ns is the control thread's.
struct alignas(64) PoolCounters {
  Counter sessions;           ///< now: clients that were given this pool
  Counter queued;             ///< now: those of them that wait for a place at a backend
  Counter queued_total;       ///< ever
  Counter queue_timeouts;     ///< clients closed because none became free in time
  Counter retries;            ///< connects that followed one that failed
  Counter no_backend;         ///< clients closed because no backend could be had
  Counter connect_failed;     ///< clients closed because every connect that was tried for them failed
  Counter strategy_rejected;  ///< clients reset because the strategy said so
  Counter abandoned;          ///< clients that left before a backend was connected
  Counter invalid_picks;      ///< answers of the strategy that the host could not use
  Counter slow_picks;         ///< picks that took over 100 ms
  Counter descriptor_waits;   ///< connects put off for want of descriptors
  Counter port_waits;         ///< connects put off for want of source ports
  Counter clients;            ///< that were given this pool, ever
  Counter backend_resets;     ///< sessions that a backend reset
  Counter early_closes;       ///< sessions that a backend closed before its first byte while the client waited
  Counter full_ns;            ///< how long every backend that could be picked was at its max_connections
  Counter picks_timed;        ///< picks whose time is in pick_ns: one in 64
  Counter pick_ns;
  Counter shadow_same;       ///< picks for which the shadow had the same backend
  Counter shadow_other;      ///< had another one
  Counter shadow_none;       ///< had none
  Counter parted_rebalance;  ///< quiet sessions that were closed, for their clients to come to other backends
  Counter parted_max_age;    ///< and because they were too old
  Counter parted_crossed;    ///< of both: whose clients had sent something before they saw that
  Histogram queue_time;      ///< of clients that queued, until the connect that they waited for began or they left
};

/// One worker's numbers of one listener; full_ns is the control thread's.
struct alignas(64) ListenerCounters {
  Counter accepted;
  Counter sessions;       ///< now: accepted and not yet closed
  Counter waited;         ///< clients that waited to be accepted, since max_connections was reached
  Counter client_resets;  ///< sessions that the client reset
  Counter accept_errors;  ///< accepts that failed, such as for want of descriptors
  Counter no_memory;      ///< client connections that ended for want of memory
  Counter drain_closed;   ///< sessions closed because the drain timeout was over

  // Clients that were refused where a PROXY header is demanded.
  Counter header_untrusted;  ///< of none of the trusted networks
  Counter header_malformed;  ///< sent something else
  Counter header_timeouts;   ///< did not send all of it in time
  Counter header_closed;     ///< left before they had

  // How clients failed, as PoolCounters has it.
  Counter no_backend;
  Counter connect_failed;
  Counter queue_timeouts;
  Counter backend_resets;
  Counter early_closes;
  Counter full_ns;  ///< how long max_connections was reached

  // Where the kernel forwards.
  Counter unasked;         ///< connections that came by the table's weights, and were heard of later
  Counter dropped_full;    ///< first packets that were dropped because max_connections was reached
  Counter dropped_queued;  ///< and because as many wait for a place as may
};

/// One worker's numbers of all its clients.
struct alignas(64) WorkerCounters {
  Counter accepted;
  Counter sessions;      ///< now: accepted and not yet closed
  Counter event_losses;  ///< how often events of conntrack were lost
};

}  // namespace lemonade
