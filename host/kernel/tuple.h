// SPDX-License-Identifier: MIT
//
// One direction of a TCP connection, as the kernel's connection tracking names it: where its packets come from and
// where they go.
#pragma once

#include "balance/address.h"

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace lemonade::kernel {

/// A plain value. The zone of a link-local IPv6 address is not part of it.
struct Tuple {
  /// A host in network order: all bytes of IPv6; of IPv4 the first four, and zeros after them.
  using Host = std::array<std::uint8_t, 16>;

  Host source_host{};
  Host destination_host{};
  std::uint16_t source_port = 0;  ///< in the order of this machine, as the other one is
  std::uint16_t destination_port = 0;
  std::uint16_t family = AF_UNSPEC;  ///< AF_INET, AF_INET6, or AF_UNSPEC where it names no connection

  /// Of family AF_UNSPEC where the two are not of one family, IPv4 or IPv6. An IPv4 address in IPv6 is IPv6.
  static Tuple between(const Address& source, const Address& destination) noexcept;

  /// Both are of family AF_UNSPEC where the tuple is.
  Address source() const noexcept;
  Address destination() const noexcept;

  /// The packets that answer, as long as nothing translates addresses.
  Tuple reversed() const noexcept;

  friend bool operator==(const Tuple& a, const Tuple& b) noexcept = default;
};

static_assert(sizeof(Tuple) <= 40, "there is one for each direction of each connection");

/// Hashes tuples for tables of this process: SipHash-1-3 (Aumasson, Bernstein, 2012) with a key that is drawn once for
/// the process. Clients choose the better part of a tuple, and without the key they cannot choose what collides. Any
/// thread.
class TupleHash {
 public:
  std::size_t operator()(const Tuple& tuple) const noexcept;
};

}  // namespace lemonade::kernel
