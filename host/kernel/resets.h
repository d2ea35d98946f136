// SPDX-License-Identifier: MIT
//
// How a connection of two other hosts is made to end. A reset has to carry the right sequence number, which the
// balancer does not know. So it provokes the host: an ACK with a wrong number, in the name of the other end, is
// answered with an ACK that has the true ones (RFC 9293, 3.10.7.4; RFC 5961). Once connection tracking has forgotten
// the connection, that answer is reset with those numbers: by a rule that knows it by our ACK (see rules.h), or, where
// it ends at this machine, by the kernel, which has no such connection. The ACK carries one byte, as a keep-alive may:
// Linux answers those without at most twice a second (tcp_invalid_ratelimit). The host throws the byte away, because it
// is outside the window.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "kernel/tuple.h"

#include <cstdint>
#include <utility>

namespace lemonade::kernel {

/// Move only. One thread at a time. It is of the network namespace of the thread that opened it.
class Resets {
 public:
  /// Its packets carry the mark, by which a rule keeps them from connection tracking: they must make no entry. Needs
  /// CAP_NET_RAW, and CAP_NET_ADMIN for the mark. Where the machine has no IPv6, IPv4 is enough.
  static Result<Resets> open(std::uint32_t mark);

  /// Provokes the host at the tuple's destination in the name of its source. Its connection must have been forgotten
  /// before (Conntrack::remove). Nothing follows where a packet is lost, the host is gone, or the tuple is of a family
  /// that the machine has not.
  void provoke(const Tuple& from_to) noexcept;

 private:
  Resets(Fd ipv4, Fd ipv6) noexcept : ipv4_(std::move(ipv4)), ipv6_(std::move(ipv6)) {}

  Fd ipv4_;
  Fd ipv6_;  // none where there is no IPv6
};

}  // namespace lemonade::kernel
