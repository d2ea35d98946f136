// SPDX-License-Identifier: MIT
//
// A strategy that throws where nothing may be thrown, or whose statics all its generations share.
#include <lemonade/sdk/strategy.hpp>

#include <stdexcept>

namespace zoo {

/// Of all the plugins that have it the process keeps one, where the compiler makes it GNU-unique.
template <class T>
struct Shared {
  static inline std::uint64_t value = 0;
};

class Thrower : public lemonade::sdk::Strategy {
 public:
  Thrower() {
    if (__builtin_strcmp(BEAST_MISDEED, "throw_in_create") == 0) throw std::runtime_error("not today");
    Shared<int>::value += 1;
  }

  std::uint32_t pick(const lemonade::sdk::Pick<>& pick) noexcept {
    if (__builtin_strcmp(BEAST_MISDEED, "throw_in_pick") == 0) throwOut();
    for (const auto index : pick.view.eligible())
      if (pick.allowed(index)) return index;
    return LEMONADE_PICK_NONE;
  }

 private:
  static void throwOut() { throw std::runtime_error("a pick that throws"); }
};

}  // namespace zoo

LEMONADE_STRATEGY(zoo::Thrower, .id = "com.example.thrower", .version = "1.0.0", .name = "Thrower", .vendor = "Example",
                  .doc = "Does one thing wrong.", .flags = LEMONADE_FLAG_UNLOAD_SAFE)
