// SPDX-License-Identifier: MIT
//
// Round robin: one ticket after the other over the eligible backends, the same sequence for all workers.
#include <lemonade/sdk/strategy.hpp>

#include <atomic>

namespace {

class RoundRobin : public lemonade::sdk::Strategy {
 public:
  std::uint32_t pick(const lemonade::sdk::Pick<>& pick) noexcept {
    const auto eligible = pick.view.eligible();
    const auto count = static_cast<std::uint32_t>(eligible.size());
    // A connection that is tried again takes the next ticket too: what a dead backend leaves is shared evenly.
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t index = eligible[next_.fetch_add(1, std::memory_order_relaxed) % count];
      if (pick.allowed(index)) return index;
    }
    // Other workers took the tickets between ours.
    for (const auto index : eligible)
      if (pick.allowed(index)) return index;
    return LEMONADE_PICK_NONE;
  }

  void why(const lemonade::sdk::Pick<>& pick, std::uint32_t, lemonade::sdk::Reason& reason) noexcept {
    reason.add("its turn among ").add(static_cast<std::uint32_t>(pick.view.eligible().size()));
  }

 private:
  std::atomic<std::uint32_t> next_{0};
};

}  // namespace

LEMONADE_STRATEGY(RoundRobin, .id = "round_robin", .version = "1.0.0", .name = "Round robin", .vendor = "Lemonade",
                  .doc = "Gives each eligible backend the same number of connections, one after the other.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
