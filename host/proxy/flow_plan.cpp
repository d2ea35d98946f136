// SPDX-License-Identifier: MIT
#include "proxy/flow_plan.h"

#include <netinet/in.h>

namespace lemonade::proxy {

namespace {

bool isWildcard(const Address& address) noexcept {
  if (address.family() == AF_INET)
    return reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr.s_addr == htonl(INADDR_ANY);
  return address.family() == AF_INET6 &&
         IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr);
}

}  // namespace

const FlowPlan::Entrance* FlowPlan::find(const kernel::Tuple& tuple) const noexcept {
  const Address destination = tuple.destination();
  const Entrance* wide = nullptr;
  for (const auto& entrance : entrances) {
    if (entrance.address == destination) return &entrance;
    if (entrance.address.family() == destination.family() && entrance.address.port() == destination.port() &&
        isWildcard(entrance.address))
      wide = &entrance;
  }
  return wide;
}

std::uint32_t FlowPlan::slotOf(const Backend& backend) const noexcept {
  const auto found = slots.find(&backend);
  return found != slots.end() ? found->second : 0;
}

}  // namespace lemonade::proxy
