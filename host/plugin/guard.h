// SPDX-License-Identifier: MIT
//
// The guard of one instance of a plugin. Every call of the instance's functions goes through it; a call that faults,
// ends the process or does not come back is broken off, and the instance is never entered again.
//
// What a call costs is a few stores and a jump: the thread's slot says what it is in, and the context to come back to
// lies on its stack. Breaking off runs no destructor of the plugin, so what it held stays as it is.
#pragma once

#include "base/fault_trace.h"
#include "plugin/fault.h"
#include "plugin/guard_slot.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace lemonade::plugin {

/// Which plugin an instance is of, and which of all instances it is.
struct InstanceInfo {
  std::string id;            ///< of the plugin
  std::string version;       ///< of the plugin
  std::string file;          ///< the path of the plugin's file, as found in its directory
  std::uint64_t number = 0;  ///< of the instance: this process numbers all that it creates, from 1
  std::string hash = {};     ///< of the file's content
  bool shadow = false;       ///< it decides nothing: see balance/shadow.h
};

class Guard {
 public:
  /// in_image is any address in the plugin's image, or null. Where a call may be broken off, a guard has to live as
  /// long as the watch that is told of it: make() one there.
  Guard() = default;
  Guard(InstanceInfo info, const void* in_image);
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  /// A guard that stays until the process ends, as the watch may look at it that long.
  static Guard& make(InstanceInfo info, const void* in_image);

  /// Calls the plugin; call may do nothing else. Returns false where it was broken off, and where the instance was
  /// broken before and nothing was called. Any thread; only threads with a GuardedThread can be broken off.
  template <class Call>
  [[nodiscard]] bool call(Function function, Call&& call) noexcept {
    if (broken()) [[unlikely]]
      return false;
    GuardSlot* const slot = t_guard_slot;
    if (slot == nullptr) [[unlikely]] {
      std::forward<Call>(call)();
      return true;
    }
    const Outer outer(*slot);
    enter(*slot, function);
    using Closure = std::remove_reference_t<Call>;
    const int broken_off = lemonade_guarded_call(
        &slot->stack, [](void* closure) noexcept { (*static_cast<Closure*>(closure))(); },
        const_cast<void*>(static_cast<const void*>(std::addressof(call))));
    outer.restore(*slot);
    return broken_off == 0;
  }

  /// The same for a function of six words that answers with a number, as pick does: it is called without anything in
  /// between, which saves a nanosecond or two. answer is its answer where this returns true.
  template <class... Words>
  requires(sizeof...(Words) == 6 && ((sizeof(Words) == sizeof(void*)) && ...))
      [[nodiscard]] bool ask(Function function, std::uint32_t& answer, std::uint32_t (*target)(Words...) noexcept,
                             Words... words) noexcept {
    if (broken()) [[unlikely]]
      return false;
    GuardSlot* const slot = t_guard_slot;
    if (slot == nullptr) [[unlikely]] {
      answer = target(words...);
      return true;
    }
    const Outer outer(*slot);
    enter(*slot, function);
    const auto came = lemonade_guarded_direct(words..., reinterpret_cast<void (*)()>(target), &slot->stack);
    outer.restore(*slot);
    answer = static_cast<std::uint32_t>(came.answer);
    return came.broken_off == 0;
  }

  /// True once a call was broken off. Any thread.
  bool broken() const noexcept { return broken_.load(std::memory_order_relaxed); }
  /// Why the first one was; kNone where none was. Any thread.
  FaultKind why() const noexcept { return why_.load(std::memory_order_relaxed); }

  /// From now on nothing is called any more. Any thread; async-signal-safe.
  void breakFor(FaultKind why) const noexcept {
    FaultKind none = FaultKind::kNone;
    (void)why_.compare_exchange_strong(none, why, std::memory_order_relaxed);
    broken_.store(true, std::memory_order_relaxed);
  }

  /// False where there is no guard in that place, as when a plugin has written over who points there. Reads the place,
  /// which may fault. Async-signal-safe.
  static bool isOne(const Guard* guard) noexcept { return guard != nullptr && guard->self_ == guard; }

  // Constant after construction.
  const InstanceInfo& info() const noexcept { return info_; }
  const void* inImage() const noexcept { return in_image_; }
  /// What fault_trace calls a function of the plugin; 0 where it knows nothing of that. Async-signal-safe.
  std::uint32_t insideOf(Function function) const noexcept {
    const std::uint32_t number = traced_ ? traced_->number() : 0;
    return number == 0 ? 0 : fault_trace::insideOf(number, static_cast<std::uint8_t>(function));
  }
  /// Where an address lies in the image; nothing where it is elsewhere. Async-signal-safe.
  std::optional<std::uint64_t> offsetOf(const void* address) const noexcept;

 private:
  /// What the thread was in before: nothing, but for a call that has led to another one.
  struct Outer {
    explicit Outer(GuardSlot& slot) noexcept : stack(slot.stack.load(std::memory_order_relaxed)) {
      if (stack == nullptr) [[likely]]
        return;
      guard = slot.guard.load(std::memory_order_relaxed);
      function = GuardSlot::functionOf(slot.call.load(std::memory_order_relaxed));
    }
    void restore(GuardSlot& slot) const noexcept {
      std::atomic_signal_fence(std::memory_order_seq_cst);
      slot.stack.store(stack, std::memory_order_relaxed);
      if (stack == nullptr) [[likely]]
        return;
      slot.guard.store(guard, std::memory_order_release);
      slot.call.store(GuardSlot::callAfter(slot.call.load(std::memory_order_relaxed), function),
                      std::memory_order_relaxed);
    }

    void* const stack;
    const Guard* guard = nullptr;
    Function function = Function::kCreate;
  };

  void enter(GuardSlot& slot, Function function) const noexcept {
    slot.guard.store(this, std::memory_order_release);  // the watch looks into it
    slot.call.store(GuardSlot::callAfter(slot.call.load(std::memory_order_relaxed), function),
                    std::memory_order_relaxed);
  }

  const Guard* const self_ = this;
  const InstanceInfo info_{};
  const void* const in_image_ = nullptr;
  std::optional<TracedPlugin> traced_;
  std::uintptr_t image_ = 0, image_end_ = 0;
  mutable std::atomic<bool> broken_{false};
  mutable std::atomic<FaultKind> why_{FaultKind::kNone};
};

/// Has it live until the process ends: code that was left in the middle, and what that may still use. Any thread.
void keepForEver(std::shared_ptr<const void> what);

}  // namespace lemonade::plugin
