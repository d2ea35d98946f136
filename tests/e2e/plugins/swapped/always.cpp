// SPDX-License-Identifier: MIT
//
// Two versions of one strategy that pick visibly different backends: always the first, or always the last.
#include <lemonade/sdk/strategy.hpp>

namespace {

class Always : public lemonade::sdk::Strategy {
 public:
  std::uint32_t pick(const lemonade::sdk::Pick<>& pick) noexcept {
    const auto eligible = pick.view.eligible();
    for (std::size_t i = 0; i < eligible.size(); ++i) {
      const auto index = eligible[ALWAYS_FRONT ? i : eligible.size() - 1 - i];
      if (pick.allowed(index)) return index;
    }
    return LEMONADE_PICK_NONE;
  }
};

}  // namespace

LEMONADE_STRATEGY(Always, .id = "com.example.always", .version = ALWAYS_FRONT ? "1.0.0" : "2.0.0", .name = "Always",
                  .vendor = "Example", .doc = "Gives every connection to the same backend.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
