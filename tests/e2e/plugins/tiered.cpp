// SPDX-License-Identifier: MIT
//
// A strategy that works only where it is shown the right tiers: it prepares for no view in which a backend whose name
// says a priority has another one.
#include <lemonade/sdk/strategy.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace lemonade::sdk;

class Tiered : public Strategy {
 public:
  struct Prepared {};

  std::unique_ptr<Prepared> prepare(View view) {
    for (std::uint32_t i = 0; i < view.size(); ++i) {
      const std::string_view name(view[i].name.data, view[i].name.size);
      if (name != "tier " + std::to_string(view[i].priority))
        throw std::runtime_error(std::string(name) + " has priority " + std::to_string(view[i].priority));
    }
    return std::make_unique<Prepared>();
  }

  std::uint32_t pick(const Pick<Prepared>& pick) noexcept {
    for (const auto index : pick.view.eligible())
      if (pick.allowed(index)) return index;
    return LEMONADE_PICK_NONE;
  }
};

}  // namespace

LEMONADE_STRATEGY(Tiered, .id = "com.example.tiered", .version = "1.0.0", .name = "Tiered", .vendor = "Example",
                  .doc = "Gives every connection to the first backend, where the tiers are as the names say.")
