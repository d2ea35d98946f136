// SPDX-License-Identifier: MIT
//
// One TCP connection as the kernel's connection tracking knows it.
#pragma once

#include "kernel/tuple.h"

#include <libmnl/libmnl.h>

#include <cstdint>
#include <optional>

namespace lemonade::kernel {

/// How far a connection is, with the kernel's numbers (TCP_CONNTRACK_*).
enum class TcpState : std::uint8_t {
  kNone = 0,  ///< not said
  kSynSent = 1,
  kSynReceived = 2,
  kEstablished = 3,
  kFinWait = 4,    ///< one side has sent a FIN
  kCloseWait = 5,  ///< the other side has acknowledged it
  kLastAck = 6,    ///< both sides have sent a FIN
  kTimeWait = 7,
  kClose = 8,     ///< reset
  kSynSent2 = 9,  ///< both sides have sent a SYN
};

/// A plain value. "In" is from the client to the backend, the direction of the first packet; "out" is back.
struct FlowEntry {
  Tuple original;          ///< from the client to the listener
  Tuple reply;             ///< from the backend to the client, or to the address that stands for the client
  std::uint32_t id = 0;    ///< of the entry; one with the same original tuple may get it later
  std::uint32_t mark = 0;  ///< of the connection
  TcpState state = TcpState::kNone;
  bool assured = false;            ///< packets have gone both ways and the handshake is over
  bool seen_reply = false;         ///< the backend has answered
  bool backend_finished = false;   ///< with its FIN, and the client had not before
  bool counted = false;            ///< the counters are said: nf_conntrack_acct was on when the connection began
  std::uint32_t seconds_left = 0;  ///< until it is forgotten, unless something moves before
  std::uint64_t packets_in = 0;
  std::uint64_t packets_out = 0;
  std::uint64_t bytes_in = 0;  ///< with the headers of IP and TCP
  std::uint64_t bytes_out = 0;
  std::uint64_t start_unix_ns = 0;  ///< 0: not said, nf_conntrack_timestamp was off
  std::uint64_t stop_unix_ns = 0;   ///< 0: not said, or it has not ended

  /// The handshake is over, and the end has not come.
  bool isOpen() const noexcept { return assured && state != TcpState::kTimeWait && state != TcpState::kClose; }
};

/// What a message of connection tracking says; nothing where it is not about TCP over IPv4 or IPv6, or cannot be read.
/// Any thread.
std::optional<FlowEntry> readFlowEntry(const nlmsghdr& message);

}  // namespace lemonade::kernel
