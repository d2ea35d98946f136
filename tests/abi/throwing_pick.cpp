// SPDX-License-Identifier: MIT
//
// Does not compile: its pick may throw.
#include <lemonade/sdk/strategy.hpp>

class Throwing : public lemonade::sdk::Strategy {
 public:
  std::uint32_t pick(const lemonade::sdk::Pick<>& pick) { return pick.view.eligible().front(); }
};

LEMONADE_STRATEGY(Throwing, .id = "com.example.throwing", .version = "1.0.0", .name = "Throwing", .vendor = "Example")
