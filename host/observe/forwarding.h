// SPDX-License-Identifier: MIT
//
// Forwarding by the kernel as a part of the status and as metrics. Any thread.
#pragma once

#include "metrics/snapshot.h"
#include "observe/json_writer.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace lemonade {

struct ListenerFacts;

/// How it is at one moment.
struct ForwardingStatus {
  /// Packets in our queue.
  struct Queue {
    std::uint64_t waiting = 0;
    std::uint64_t full = 0;        ///< dropped because it was full
    std::uint64_t unreceived = 0;  ///< and because we had no room for them
  };
  struct Conntrack {
    std::uint64_t entries = 0;
    std::uint64_t most = 0;
  };

  std::string table{};      ///< its name; the family is inet
  std::uint32_t queue = 0;  ///< the number of the queue by which we are asked
  std::uint32_t tag = 0;    ///< the upper half of our marks
  bool up_to_date = false;  ///< the table says what listeners and pools say
  bool asks = false;        ///< about first packets; else they go by the table's weights
  std::uint64_t unasked = 0;
  std::uint64_t event_losses = 0;
  std::optional<Queue> packets{};        ///< nothing: the kernel does not show them to this process
  std::optional<Conntrack> conntrack{};  ///< nothing: the same
};

/// "kernel" in the status: null where the kernel does not forward.
void setForwarding(Json& json, const std::optional<ForwardingStatus>& status);

/// The listeners are all there are: those that the kernel forwards for have series.
void addForwarding(metrics::SnapshotBuilder& builder, const ForwardingStatus& status,
                   std::span<const ListenerFacts> listeners);

}  // namespace lemonade
