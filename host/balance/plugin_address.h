// SPDX-License-Identifier: MIT
//
// An address as strategies are told it; see lemonade_connection_t in lemonade/strategy.h.
#pragma once

#include "balance/address.h"

#include <cstdint>

namespace lemonade {

/// Writes the host part of an address to `bytes`, in network order: IPv4 as ::ffff:a.b.c.d, zero for a Unix socket and
/// for AF_UNSPEC. Returns its LEMONADE_FAMILY_*; 0 for AF_UNSPEC.
std::uint32_t writeAddress(const Address& address, std::uint8_t (&bytes)[16]) noexcept;

}  // namespace lemonade
