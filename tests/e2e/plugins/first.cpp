// SPDX-License-Identifier: MIT
//
// A stranger's strategy: always the first backend that may be picked.
#include <lemonade/sdk/strategy.hpp>

namespace {

class First : public lemonade::sdk::Strategy {
 public:
  std::uint32_t pick(const lemonade::sdk::Pick<>& pick) noexcept {
    for (const auto index : pick.view.eligible())
      if (pick.allowed(index)) return index;
    return LEMONADE_PICK_NONE;
  }
};

}  // namespace

LEMONADE_STRATEGY(First, .id = "com.example.first", .version = "1.2.3", .name = "First", .vendor = "Example",
                  .doc = "Gives every connection to the first backend.")
