// SPDX-License-Identifier: MIT
#include "balance/trial.h"

namespace lemonade {

// Takes a slot where there is none yet, else has the one there is wait anew.
std::int8_t Trial::wait(int slot, Arm arm, std::uint64_t now) noexcept {
  const std::uint64_t waits = (now & kSinceMask) | (arm == Arm::kElsewhere ? kElsewhereBit : 0);
  if (slot != kNoSlot) {
    auto& mine = slots_[static_cast<std::size_t>(slot)];
    std::uint64_t before = mine.load(std::memory_order_relaxed);
    // One that was late has been counted, and one that was slow is not counted again.
    while ((before & kLateBit) == 0 &&
           !mine.compare_exchange_weak(before, waits | (before & kSlowBit), std::memory_order_relaxed)) {
    }
    return static_cast<std::int8_t>(slot);
  }
  for (std::uint8_t i = 0; i < kSlots; ++i) {
    std::uint64_t none = 0;
    if (slots_[i].load(std::memory_order_relaxed) != 0) continue;
    if (slots_[i].compare_exchange_strong(none, waits, std::memory_order_relaxed)) return static_cast<std::int8_t>(i);
  }
  return kNoSlot;
}

void Trial::leave(int slot) noexcept {
  auto& mine = slots_[static_cast<std::size_t>(slot)];
  std::uint64_t before = mine.load(std::memory_order_relaxed);
  while (!mine.compare_exchange_weak(before, (before & kLateBit) != 0 ? 0 : before | kGoneBit,
                                     std::memory_order_relaxed)) {
  }
}

void Trial::count(Arm arm, bool answered) noexcept {
  const bool here = arm == Arm::kHere;
  auto& counter =
      here ? (answered ? answered_here_ : failed_here_) : (answered ? answered_elsewhere_ : failed_elsewhere_);
  counter.fetch_add(1, std::memory_order_relaxed);
}

// Of an answer that was late enough control has counted that while it was waited for.
void Trial::lookWhetherSlow(int slot, Arm arm, std::uint64_t took_ns) noexcept {
  const std::uint64_t slow_ns = slow_ns_.load(std::memory_order_relaxed);
  if (slow_ns == 0 || took_ns <= slow_ns) return;
  const std::uint64_t before =
      slot != kNoSlot ? slots_[static_cast<std::size_t>(slot)].fetch_or(kSlowBit, std::memory_order_relaxed) : 0;
  if ((before & kSlowBit) == 0) countSlow(arm);
}

Trial::Outcomes Trial::take(std::uint64_t late_since_ns, std::uint64_t slow_since_ns) noexcept {
  for (auto& slot : slots_) {
    std::uint64_t before = slot.load(std::memory_order_relaxed);
    const bool slow = before != 0 && (before & kSlowBit) == 0 && (before & kSinceMask) < slow_since_ns;
    if (slow && slot.compare_exchange_strong(before, before | kSlowBit, std::memory_order_relaxed)) {
      countSlow((before & kElsewhereBit) != 0 ? Arm::kElsewhere : Arm::kHere);
      before |= kSlowBit;
    }
    if (before == 0 || (before & kLateBit) != 0 || (before & kSinceMask) >= late_since_ns) continue;
    const std::uint64_t after = (before & kGoneBit) != 0 ? 0 : before | kLateBit;
    if (slot.compare_exchange_strong(before, after, std::memory_order_relaxed))
      count((before & kElsewhereBit) != 0 ? Arm::kElsewhere : Arm::kHere, false);
  }
  const auto taken = [](std::atomic<std::uint32_t>& counter) { return counter.exchange(0, std::memory_order_relaxed); };
  return {taken(failed_here_),        taken(answered_here_), taken(failed_elsewhere_),
          taken(answered_elsewhere_), taken(slow_here_),     taken(slow_elsewhere_)};
}

}  // namespace lemonade
