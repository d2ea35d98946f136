// SPDX-License-Identifier: MIT
//
// A set of addresses as operators write it: "10.0.0.0/8", "2001:db8::/32", one address, or "unix" for whoever connects
// over a Unix socket. A plain value; any thread.
#pragma once

#include "base/result.h"

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lemonade::config {

class Network {
 public:
  /// The error says what to write instead, and does not repeat the text. Bits beyond the prefix must be zero.
  static Result<Network> parse(std::string_view text);

  /// An IPv4 address counts as such also where it comes as ::ffff:a.b.c.d. Allocates nothing.
  bool contains(const sockaddr* address) const noexcept;
  /// As parse() takes it.
  std::string text() const;

  bool operator==(const Network&) const = default;

 private:
  int family_ = AF_UNSPEC;
  unsigned prefix_ = 0;                  // bits of host_ that count
  std::array<std::uint8_t, 16> host_{};  // in network order; 4 bytes of IPv4
};

}  // namespace lemonade::config
