// SPDX-License-Identifier: MIT
//
// A strategy that takes the backends in turn and hands the turn over to its next version; versions differ in the format
// of what they hand over, and one refuses to take anything.
#include <lemonade/sdk/strategy.hpp>

#include <atomic>
#include <charconv>

namespace {

using namespace lemonade::sdk;

class Turn : public Strategy {
 public:
  static constexpr std::string_view kStateFormat = TURN_FORMAT;

  std::uint32_t pick(const Pick<>& pick) noexcept {
    const auto eligible = pick.view.eligible();
    const auto turn = turn_.fetch_add(1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < eligible.size(); ++i) {
      const auto index = eligible[(turn + i) % eligible.size()];
      if (pick.allowed(index)) return index;
    }
    return LEMONADE_PICK_NONE;
  }

  void exportState(Writer writer) { writer.write(std::to_string(turn_.load())); }

  void importState(std::string_view format, std::string_view data) {
    if (format != kStateFormat) throw UnsupportedState("knows " TURN_FORMAT " only");
#ifdef TURN_REFUSES
    throw std::runtime_error("this state does not add up: " + std::string(data));
#endif
    std::uint64_t turn = 0;
    if (std::from_chars(data.data(), data.data() + data.size(), turn).ec != std::errc())
      throw std::runtime_error("the turn is no number");
    turn_ = turn;
  }

 private:
  std::atomic<std::uint64_t> turn_{0};
};

}  // namespace

LEMONADE_STRATEGY(Turn, .id = "com.example.turn", .version = TURN_VERSION, .name = "Turn", .vendor = "Example",
                  .doc = "Takes the backends in turn, over its own replacement too.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
