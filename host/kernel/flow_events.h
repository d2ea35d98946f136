// SPDX-License-Identifier: MIT
//
// What becomes of connections, as the kernel's connection tracking tells it to whoever listens: that they begin, that
// their state changes, that they are forgotten.
#pragma once

#include "base/result.h"
#include "kernel/flow_entry.h"
#include "kernel/netfilter_batch.h"
#include "kernel/netfilter_socket.h"

#include <cstdint>
#include <optional>
#include <utility>

namespace lemonade::kernel {

struct FlowEvent {
  enum class What {
    kNew,      ///< its first packet went through
    kUpdate,   ///< its state, its status or its mark changed, and it is not half closed
    kDestroy,  ///< the kernel forgot it; only this one has counters and a stop
  };

  What what = What::kNew;
  FlowEntry entry;
};

/// Move only. One thread at a time. It is of the network namespace of the thread that opened it.
class FlowEvents {
 public:
  /// Listens for connections with (mark & mask) == (`mark` & `mask`), where that is not 0: the kernel says nothing of
  /// the mark of a connection that has none. The kernel drops the events of all others, and of those that are being
  /// closed (kFinWait, kCloseWait, kLastAck) all but the last, before they take room here and wake anybody.
  static Result<FlowEvents> open(std::uint32_t mark, std::uint32_t mask);

  /// Readable while events are there to read.
  int fd() const noexcept { return socket_.fd(); }

  /// Calls visit(const FlowEvent&) for each event that is there, for kBatch at most, in the order in which they
  /// happened. True where events were lost since the last call, because they came faster than they were read: after
  /// that ask Conntrack::each() for all connections anew.
  template <class Visit>
  bool read(Visit&& visit) {
    return readMessages(socket_, kBatch, [&](const nlmsghdr& message) {
      if (const auto event = parse(message)) visit(*event);
    });
  }

 private:
  static constexpr unsigned kBatch = 256;

  explicit FlowEvents(NetfilterSocket socket) noexcept : socket_(std::move(socket)) {}

  /// Nothing where the message is no such event.
  static std::optional<FlowEvent> parse(const nlmsghdr& message);

  NetfilterSocket socket_;
};

}  // namespace lemonade::kernel
