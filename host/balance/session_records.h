// SPDX-License-Identifier: MIT
//
// What is known of sessions that have ended, on its way from a worker to whoever wants it.
//
// Each worker has a lane: a ring of bytes that it alone writes and one other thread reads. Neither waits for the other
// or takes a lock. Where nobody wants records, a session costs the worker one load; where the ring is full, the record
// is dropped and counted. A record in the ring has all that it needs: backend, pool and listener may go meanwhile.
#pragma once

#include "balance/address.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace lemonade {

/// A session that has ended. Plain data; what it points to is borrowed. The times are as in lemonade_session_record_t.
struct SessionRecord {
  std::string_view listener;
  std::string_view pool;     ///< empty where it had none
  std::string_view backend;  ///< its id; empty where it had none
  std::string_view backend_name;
  std::string_view backend_address;
  const Address* client = nullptr;  ///< never null: what its PROXY header named, else as peer
  const Address* peer = nullptr;    ///< the other end of its socket; null: as client

  struct Numbers {
    std::uint64_t backend_identity = 0;
    std::uint64_t started_ns = 0;  ///< monotonic
    std::uint64_t duration_ns = 0;
    std::uint64_t queue_ns = 0;
    std::uint64_t connect_ns = 0;
    std::uint64_t first_byte_ns = 0;
    std::uint64_t slowest_exchange_ns = 0;
    std::uint64_t exchanges = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::uint64_t bytes_out_acknowledged = 0;
    std::uint64_t bytes_in_acknowledged = 0;
    std::uint32_t reason = 0;  ///< LEMONADE_END_*
    std::uint32_t flags = 0;   ///< mask of LEMONADE_RECORD_*
    std::uint32_t attempts = 0;
    std::uint32_t reserved = 0;
  } numbers;
};

/// The records of one worker.
class SessionRecordLane {
 public:
  static constexpr std::size_t kBytes = std::size_t{1} << 20;  ///< of the ring: some 3,000 records

  SessionRecordLane() = default;
  SessionRecordLane(const SessionRecordLane&) = delete;
  SessionRecordLane& operator=(const SessionRecordLane&) = delete;

  // Any thread.
  bool wanted() const noexcept { return wanted_.load(std::memory_order_relaxed); }
  void want(bool wanted) noexcept { wanted_.store(wanted, std::memory_order_relaxed); }
  /// Records for which there was no room, since the start.
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

  /// Copies a record into the ring, which is made for the first one. The worker's thread; also where nobody wants it.
  void put(const SessionRecord& record) noexcept;

  /// Hands every record that is there to visit(const SessionRecord&), oldest first, and makes room of each afterwards.
  /// One thread at a time, any.
  template <class Visit>
  void takeAll(Visit&& visit) {
    for (Reading reading; read(reading);) {
      visit(static_cast<const SessionRecord&>(reading.record));
      tail_.store(reading.end, std::memory_order_release);
    }
  }

 private:
  struct Reading {
    SessionRecord record;
    Address client, peer;
    std::uint64_t end = 0;
  };

  bool read(Reading& reading) noexcept;

  // Offsets that only grow; a byte is at its offset modulo kBytes.
  alignas(64) std::atomic<std::uint64_t> head_{0};  // written by the worker
  std::unique_ptr<std::byte[]> ring_;               // made by the worker before it first moves head_
  std::atomic<std::uint64_t> dropped_{0};
  alignas(64) std::atomic<std::uint64_t> tail_{0};  // written by the reader
  alignas(64) std::atomic<bool> wanted_{false};
};

}  // namespace lemonade
