// SPDX-License-Identifier: MIT
//
// The watch over calls of plugins: a thread of its own, neither control nor worker nor sink, that looks every few
// milliseconds at what each guarded thread is in. It says which call is slow while that runs, has the thread leave one
// that goes on beyond the limit, and passes on what was broken off.
//
// Time counts from look to look, so what passes while the whole process stands still is nobody's fault.
#pragma once

#include "base/clock.h"
#include "base/fd.h"
#include "plugin/fault.h"
#include "plugin/guard.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace lemonade::plugin {

class CallWatch {
 public:
  /// A call that has gone on for so long is slow.
  static constexpr Duration kSlow = std::chrono::milliseconds(100);
  /// A call that could not be broken off for so long beyond the limit ends the process.
  static constexpr Duration kPatience = std::chrono::seconds(10);

  /// Hears of a call that was broken off, on the thread of the watch; must not block.
  using OnBroken = std::function<void(const Fault& fault, const std::string& thread)>;

  /// A slow call that is under way.
  struct SlowCall {
    InstanceInfo info;
    Function function = Function::kCreate;
    std::string thread;
    std::uint64_t lasted_ns = 0;
  };
  /// Of which plugin, by id, and which function.
  using Which = std::pair<std::string, Function>;

  /// Starts the thread. Throws std::system_error where there can be none.
  CallWatch();
  /// Stops and joins it. What is broken off then is told to nobody.
  ~CallWatch();
  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;

  // Any thread.

  /// Whom to tell from now on, of what nobody was told before, too; null: nobody. Once it has returned the one before
  /// is not called any more.
  void tell(OnBroken on_broken);
  /// How long a call may take; 0: as long as it wants.
  void setLimit(Duration limit) noexcept { limit_ns_.store(limit.count(), std::memory_order_relaxed); }
  /// Those that are under way now.
  std::vector<SlowCall> slowCalls() const;
  /// How many there have been since this began.
  std::map<Which, std::uint64_t> counts() const;

 private:
  /// What the watch knows of the call that a thread is in.
  struct Seen {
    std::uint64_t call = 0;
    std::uint64_t lasted_ns = 0;
    std::uint64_t signalled_ns = 0;  // when it was last told to leave
    bool told = false;               // that it is slow
    bool present = false;            // the thread was there at this look
  };

  void run();
  bool wait(bool idle) const;
  bool look();
  void lookAt(GuardSlot& slot, Seen& seen, std::uint64_t step_ns, std::vector<SlowCall>& slow);
  void tellBroken();
  void tellSlow(const SlowCall& call);
  void breakOff(GuardSlot& slot, Seen& seen, const Guard& guard);

  const Fd stop_;
  std::atomic<std::int64_t> limit_ns_{0};

  // Of the thread.
  std::map<GuardSlot*, Seen> seen_;
  std::uint64_t last_look_ns_ = 0;
  std::uint64_t last_busy_ns_ = 0;

  std::mutex telling_;  // guards the next two; held while somebody is told
  OnBroken on_broken_;
  std::deque<std::pair<Fault, std::string>> untold_;

  mutable std::mutex mutex_;  // guards what follows
  std::vector<SlowCall> slow_;
  std::map<Which, std::uint64_t> counts_;

  std::thread thread_;
};

}  // namespace lemonade::plugin
