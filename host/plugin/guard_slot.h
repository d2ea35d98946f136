// SPDX-License-Identifier: MIT
//
// What a thread is in, published for the handlers of signals on the same thread and for the watch on another: plain
// stores before and after each call of a plugin. A GuardedThread owns the slot of its thread.
#pragma once

#include "base/fault_trace.h"
#include "plugin/fault.h"

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

namespace lemonade::plugin {

class Guard;

struct GuardSlot {
  // ---- written by the thread itself, for each call ----

  /// Where the thread goes on when the call under way is broken off; null: in no call.
  std::atomic<void*> stack{nullptr};
  std::atomic<const Guard*> guard{nullptr};  ///< of the last call that began
  std::atomic<std::uint64_t> call{0};        ///< its number and its function, see callAfter()
  std::atomic<std::uint32_t> services{0};    ///< of the host that the plugin is in now: it may hold locks of ours

  /// How long calls of this thread may take before that counts as slow: until the deadline that they were told.
  std::atomic<std::uint64_t> allowed_ns{0};

  // ---- constant while the thread is guarded ----

  std::string name;
  pthread_t thread{};
  pid_t process = 0;        ///< a child that a plugin forks has a copy of the slot, and must not go on in here
  sigset_t mask{};          ///< of signals, as the thread has it outside of plugins
  std::uint32_t mxcsr = 0;  ///< the same of vector arithmetic
  std::uint16_t x87_control = 0;

  // ---- between the watch and the handlers ----

  std::atomic<std::uint64_t> doomed{0};     ///< the number of the call that is to be broken off; 0: none
  std::atomic<std::uint64_t> doomed_ns{0};  ///< how long that has lasted
  std::atomic<std::uint64_t> left{0};       ///< the number of the call that was broken off last

  /// What came of calls that were broken off here, until the watch has taken it.
  struct Record {
    std::atomic<bool> filled{false};
    Fault fault;
  };
  static constexpr std::size_t kRecords = 4;
  Record records[kRecords];

  /// What the watch has seen the thread in, for who looks at the process once it is dead.
  std::optional<TracedThread> traced;

  // ---- the handler's own ----

  std::atomic<void*> trace_stack{nullptr};  ///< like stack, of a look at the frames, which may fault itself

  /// True where a call is under way that the thread can get out of. Async-signal-safe; the thread's own.
  bool isInside() const noexcept { return isInCall() && process == ::getpid(); }
  bool isInCall() const noexcept { return stack.load(std::memory_order_relaxed) != nullptr; }

  /// The call that follows the one that call stands for.
  static constexpr std::uint64_t callAfter(std::uint64_t call, Function function) noexcept {
    return ((call | 0xff) + 1) | static_cast<std::uint64_t>(function);
  }
  static constexpr Function functionOf(std::uint64_t call) noexcept { return static_cast<Function>(call & 0xff); }
};

static_assert(sizeof(std::atomic<void*>) == sizeof(void*) && std::atomic<void*>::is_always_lock_free);

/// Of the calling thread; null where it has no GuardedThread.
extern thread_local constinit GuardSlot* t_guard_slot __attribute__((tls_model("initial-exec")));

/// Where the stacks of the calling thread lie. A slot is memory that a plugin may have written over: nobody goes to
/// where it says that a stack is before this says so, too.
struct ThreadStacks {
  std::uintptr_t begin = 0, end = UINTPTR_MAX;            ///< of the thread; everything where nobody knows
  std::uintptr_t alternate_begin = 0, alternate_end = 0;  ///< of handlers

  bool hasFrame(const void* stack) const noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(stack);
    return at % sizeof(void*) == 0 && at >= begin && at < end;
  }
  bool hasHandlersFrame(const void* stack) const noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(stack);
    return at % sizeof(void*) == 0 && at >= alternate_begin && at < alternate_end;
  }
};
extern thread_local constinit ThreadStacks t_thread_stacks __attribute__((tls_model("initial-exec")));

/// Marks that a plugin's call has entered the host: what is broken off in here might hold a lock. On the stack of each
/// function of the host that plugins call, for as long as it runs.
class HostService {
 public:
  HostService() noexcept : slot_(t_guard_slot) { add(1); }
  ~HostService() { add(~std::uint32_t{0}); }
  HostService(const HostService&) = delete;
  HostService& operator=(const HostService&) = delete;

 private:
  void add(std::uint32_t amount) noexcept {
    if (slot_ == nullptr) return;
    slot_->services.store(slot_->services.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  GuardSlot* const slot_;
};

/// Calls invoke(closure) so that it can be broken off: place is what GuardSlot::stack or trace_stack is. Returns 0
/// where that came back, 1 where it was broken off; place is to be set back then. See guarded_call.cpp.
extern "C" int lemonade_guarded_call(std::atomic<void*>* place, void (*invoke)(void*), void* closure) noexcept;
/// What came of a direct call: the answer, and 1 where there is none because it was broken off.
struct DirectAnswer {
  std::uint64_t answer;
  std::uint64_t broken_off;
};

/// The same for a function of six words, whose answer is a whole number: calls target without anything in between.
extern "C" DirectAnswer lemonade_guarded_direct(const void* one, const void* two, const void* three, const void* four,
                                                const void* five, const void* six, void (*target)(),
                                                std::atomic<void*>* place) noexcept;

/// The same as the first for a look at the frames: these go on with the caller's.
extern "C" int lemonade_traced_call(std::atomic<void*>* place, void (*invoke)(void*), void* closure) noexcept;

}  // namespace lemonade::plugin
