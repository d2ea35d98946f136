// SPDX-License-Identifier: MIT
//
// The last picks of a pool with what was seen of each backend and why it was picked, for an operator who looks, for
// some seconds. Memory is bounded and taken before the first pick is written down; while nobody looks there is no
// recorder, and a pick costs one load. A worker waits for nobody: what comes while its part is being read is left out.
//
// Nothing here points to a backend or a view: records outlive both.
#pragma once

#include "balance/per_worker.h"

#include <lemonade/strategy.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

namespace lemonade {

/// A backend as a pick saw it.
struct SeenBackend {
  std::uint64_t identity = 0;
  std::uint32_t weight = 0;
  std::uint32_t effective_weight = 0;
  std::uint32_t max_connections = 0;
  bool eligible = false;
  bool tried = false;  ///< the connection must not be given it
  lemonade_backend_stats_t stats{};
  std::uint64_t mean_wait_ns = 0;  ///< of the exchanges that wait for their answer
};

struct PickRecord {
  static constexpr std::size_t kMostBackends = 64;
  static constexpr std::size_t kLongestReason = 200;

  std::uint64_t now_ns = 0;  ///< monotonic
  std::uint8_t client_address[16]{};
  std::uint32_t client_family = 0;
  std::uint16_t client_port = 0;
  std::uint32_t attempt = 0;
  std::uint32_t worker = 0;
  std::uint32_t priority = 0;         ///< of the tier
  std::uint64_t view = 0;             ///< its serial
  std::uint32_t answer = 0;           ///< an index of the view, LEMONADE_PICK_NONE or LEMONADE_PICK_REJECT
  std::uint64_t identity = 0;         ///< of that backend; 0: none
  std::uint32_t backends = 0;         ///< of seen; the one that was picked is among them
  std::uint32_t backends_of_all = 0;  ///< that the view has
  std::uint32_t reason_size = 0;
  std::array<char, kLongestReason> reason_text{};
  std::array<SeenBackend, kMostBackends> seen{};

  std::string_view reason() const noexcept { return {reason_text.data(), reason_size}; }
};

class PickRecorder {
 public:
  static constexpr std::uint32_t kMostPicks = 64;  ///< kept, over all workers; at least four of each

  /// For so many workers, and until then, monotonic nanoseconds. Allocates all of its memory.
  PickRecorder(std::uint32_t workers, std::uint64_t until_ns);

  /// Writes a pick down in the place of the eldest of its worker. explain(text, size) writes the reason there, and
  /// returns how long that is. Worker thread.
  template <class Explain>
  void record(const lemonade_connection_t& connection, const lemonade_view_t& view, std::uint32_t answer,
              Explain explain) noexcept {
    if (connection.now_ns >= until_ns_ || connection.worker >= rings_.size()) return;
    Ring& ring = rings_[connection.worker];
    const std::unique_lock lock(ring.mutex, std::try_to_lock);
    if (!lock) return;
    PickRecord& to = ring.records[ring.count++ % ring.records.size()];
    write(to, connection, view, answer);
    to.reason_size = explain(to.reason_text.data(), static_cast<std::uint32_t>(to.reason_text.size()));
    if (to.reason_size > to.reason_text.size()) to.reason_size = 0;
  }

  // Any thread.
  std::uint64_t untilNs() const noexcept { return until_ns_; }
  /// What was kept, the eldest first.
  std::vector<PickRecord> records();

 private:
  struct Ring {
    std::mutex mutex;
    std::vector<PickRecord> records;
    std::uint64_t count = 0;
  };

  static void write(PickRecord& to, const lemonade_connection_t& connection, const lemonade_view_t& view,
                    std::uint32_t answer) noexcept;

  const std::uint64_t until_ns_;
  PerWorker<Ring> rings_;
};

}  // namespace lemonade
