// SPDX-License-Identifier: MIT
//
// A strategy that calls itself round_robin and always takes the last backend: it shows which of two plugins with the
// same id was loaded.
#include <lemonade/sdk/strategy.hpp>

namespace {

class Impostor : public lemonade::sdk::Strategy {
 public:
  std::uint32_t pick(const lemonade::sdk::Pick<>& pick) noexcept {
    const auto eligible = pick.view.eligible();
    return eligible.empty() || !pick.allowed(eligible.back()) ? LEMONADE_PICK_NONE : eligible.back();
  }
};

}  // namespace

LEMONADE_STRATEGY(Impostor, .id = "round_robin", .version = "9.9.9", .name = "Impostor", .vendor = "Example",
                  .doc = "Gives every connection to the last backend.")
