// SPDX-License-Identifier: MIT
//
// A strategy built with g++'s default flags: its inline static becomes a GNU-unique symbol, of which a process has only
// one, however many versions of the plugin it loads.
#include <lemonade/sdk/strategy.hpp>

struct Shared {
  static std::uint32_t& offset() {
    static std::uint32_t offset = 0;
    return offset;
  }
};

class SharedStatics : public lemonade::sdk::Strategy {
 public:
  std::uint32_t pick(const lemonade::sdk::Pick<>& pick) noexcept {
    const auto eligible = pick.view.eligible();
    return eligible.empty() ? LEMONADE_PICK_NONE : eligible[Shared::offset() % eligible.size()];
  }
};

LEMONADE_STRATEGY(SharedStatics, .id = "com.example.always", .version = "3.0.0", .name = "Shared statics",
                  .vendor = "Example", .doc = "Keeps its state where every version shares it.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
