// SPDX-License-Identifier: MIT
//
// Plans of tables as tests write them.
#pragma once

#include "kernel/rules.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lemonade::test {

inline Address at(const std::string& address) { return Address::parse(address).value(); }

inline kernel::TablePlan::Backend backend(std::uint32_t slot, const std::string& address) {
  return {slot, at(address), "web/" + std::to_string(slot), 0xb000 + slot};
}

/// Two backends of IPv4 by 3 to 1 and one of IPv6 behind one listener on both.
inline kernel::TablePlan smallPlan() {
  kernel::TablePlan plan;
  plan.tag = 0x4c4d;
  plan.queue = 7;
  plan.backends = {backend(1, "10.0.0.1:80"), backend(2, "10.0.0.2:81"), backend(3, "[2001:db8::3]:82")};
  plan.listeners = {{1, {at("10.9.9.9:443"), at("[2001:db8::9]:443")}, false, {}, {{1, 3}, {2, 1}, {3, 5}}}};
  return plan;
}

}  // namespace lemonade::test
