// SPDX-License-Identifier: MIT
//
// The guard of one instance of a plugin. Every call of the instance's functions goes through it; a call that faults, ends
// the process or does not come back is broken off, and the instance is never entered again.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace lemonade::plugin {

/// Which function of a plugin a call is of.
enum class Function : std::uint8_t {
  kCreate,
  kDestroy,
  kMakeLane,
  kEndLane,
  kPrepare,
  kEndPrepared,
  kPick,
  kEvent,
  kExportState,
  kImportState,
  kProbeBegin,
  kProbeEvent,
  kProbeEnd,
  kFlush,
  kHealthEvent,
  kSessionRecords,
  kReopen,
  kContentType,
  kRender,
  kCallback,  ///< a timer or a posted task of the plugin
};

class Guard {
 public:
  /// Calls the plugin; call may do nothing else. Returns false where it was broken off, and where the instance was
  /// broken before and nothing was called. Any thread; only threads with a GuardedThread can be broken off.
  template <class Call>
  [[nodiscard]] bool call(Function function, Call&& call) noexcept {
    (void)function;
    if (broken()) return false;
    std::forward<Call>(call)();
    return true;
  }

  /// True once a call was broken off. Any thread.
  bool broken() const noexcept { return broken_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> broken_{false};
};

}  // namespace lemonade::plugin
