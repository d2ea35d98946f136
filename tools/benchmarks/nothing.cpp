// SPDX-License-Identifier: MIT
//
// A strategy that does nothing: what a pick costs bench_pick before a strategy has done anything.
#include <lemonade/sdk/strategy.hpp>

namespace {

class Nothing : public lemonade::sdk::Strategy {
 public:
  std::uint32_t pick(const lemonade::sdk::Pick<>&) noexcept { return 0; }
};

}  // namespace

LEMONADE_STRATEGY(Nothing, .id = "bench_nothing", .version = "1.0.0", .name = "Nothing", .vendor = "Lemonade",
                  .doc = "Picks the first backend without looking.")
