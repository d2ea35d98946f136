// SPDX-License-Identifier: MIT
#include "proxy/flow_plan.h"

namespace lemonade::proxy {

const FlowPlan::Entrance* FlowPlan::find(const kernel::Tuple& tuple) const noexcept {
  const Address destination = tuple.destination();
  const Entrance* wide = nullptr;
  for (const auto& entrance : entrances) {
    if (entrance.address == destination) return &entrance;
    if (entrance.address.family() == destination.family() && entrance.address.port() == destination.port() &&
        entrance.address.isWildcard())
      wide = &entrance;
  }
  return wide;
}

std::uint32_t FlowPlan::slotOf(const Backend& backend) const noexcept {
  const auto found = slots.find(&backend);
  return found != slots.end() ? found->second : 0;
}

}  // namespace lemonade::proxy
