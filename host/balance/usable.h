// SPDX-License-Identifier: MIT
//
// Which of the addresses that a name was given can be those of a backend. Any thread.
#pragma once

#include "balance/address.h"

#include <string>
#include <vector>

namespace lemonade {

/// Addresses that are worth trying, and what was left out.
struct Usable {
  std::vector<Address> addresses;  ///< sorted, each once
  std::string left_out;            ///< "2 IPv6 addresses, to which this machine has no route"; "" where all are usable
};

/// The most addresses of one name that are used.
constexpr std::size_t kMostAddresses = 256;

/// Leaves out what is no address of a single machine (0.0.0.0, multicast); a family that this machine has no route to,
/// where there are addresses of the other that it has one to; and what is beyond kMostAddresses. IPv4 addresses written
/// as IPv6 ones (::ffff:10.0.0.1) become what they are.
Usable usable(std::vector<Address> addresses);

/// True where the kernel knows a way to the address; nothing is sent.
bool hasRoute(const Address& address) noexcept;

}  // namespace lemonade
