// SPDX-License-Identifier: MIT
#include "balance/plugin_address.h"

#include <lemonade/strategy.h>

#include <netinet/in.h>

#include <cstring>

namespace lemonade {

std::uint32_t writeAddress(const Address& address, std::uint8_t (&bytes)[16]) noexcept {
  std::memset(bytes, 0, sizeof(bytes));
  switch (address.family()) {
    case AF_INET:
      bytes[10] = bytes[11] = 0xff;
      std::memcpy(bytes + 12, &reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr, 4);
      return LEMONADE_FAMILY_IPV4;
    case AF_INET6:
      std::memcpy(bytes, &reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr, 16);
      return LEMONADE_FAMILY_IPV6;
    case AF_UNIX:
      return LEMONADE_FAMILY_UNIX;
    default:
      return 0;
  }
}

}  // namespace lemonade
