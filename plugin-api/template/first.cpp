// The first eligible backend takes every connection; the ones after it are its spares.
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

LEMONADE_STRATEGY(First, .id = "com.example.first", .version = "1.0.0", .name = "First", .vendor = "Example",
                  .doc = "The first eligible backend takes every connection, the ones after it are its spares.")
