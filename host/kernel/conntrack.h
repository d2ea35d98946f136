// SPDX-License-Identifier: MIT
//
// Questions to the kernel's connection tracking about single connections and about all of a mark, and the end of one.
#pragma once

#include "base/result.h"
#include "kernel/flow_entry.h"
#include "kernel/netfilter_socket.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

namespace lemonade::kernel {

/// Move only. One thread at a time. It is of the network namespace of the thread that opened it.
class Conntrack {
 public:
  static Result<Conntrack> open();

  /// The connection with that original tuple, with its counters; nothing where there is none, or none that can be read.
  std::optional<FlowEntry> find(const Tuple& original);
  /// Visits those of these connections that there are, with their counters. It costs little more than one of them.
  void find(std::span<const Tuple> originals, const std::function<void(const FlowEntry&)>& visit);

  /// Makes the kernel forget a connection, and with it the translation of addresses. False where it is gone already, or
  /// another one with the same original tuple has come; that one stays, as far as the id, the reply and, where both are
  /// said, the start tell it from the earlier one.
  bool remove(const FlowEntry& flow);

  /// Makes the kernel forget a connection in so many seconds, unless something moves before: then it is as if this had
  /// not been called. False where it is gone.
  bool hasten(const FlowEntry& flow, std::uint32_t seconds);

  /// Visits the connections with (mark & mask) == (`mark` & `mask`), with their counters. One that comes or goes
  /// meanwhile may be visited or not, and one may be visited twice. The visit may call the others.
  Status each(std::uint32_t mark, std::uint32_t mask, const std::function<void(const FlowEntry&)>& visit);

 private:
  explicit Conntrack(NetfilterSocket socket) noexcept : socket_(std::move(socket)) {}

  NetfilterSocket socket_;
};

}  // namespace lemonade::kernel
