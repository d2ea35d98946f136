// SPDX-License-Identifier: MIT
#include "plugin/call_watch.h"

#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/seconds.h"
#include "plugin/containment.h"
#include "plugin/guarded_thread.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <exception>

namespace lemonade::plugin {

namespace {

using namespace std::chrono_literals;

constexpr int kBusyMs = 5;
constexpr int kIdleMs = 25;
constexpr Duration kStaysBusy = 1s;
constexpr Duration kLongestStep = 50ms;  // a look that comes later than this was held up itself
constexpr Duration kAgain = 20ms;

/// Calls that were broken off, and who was in them.
using Broken = std::vector<std::pair<Fault, std::string>>;

void takeRecords(GuardSlot& slot, Broken& broken) {
  for (auto& record : slot.records) {
    if (!record.filled.load(std::memory_order_acquire)) continue;
    broken.emplace_back(record.fault, slot.name);
    record.filled.store(false, std::memory_order_release);
  }
}

}  // namespace

CallWatch::CallWatch()
    : stop_(ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      last_look_ns_(nowNs()),
      thread_([this] { run(); }) {}

CallWatch::~CallWatch() {
  (void)::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void CallWatch::run() {
  (void)::pthread_setname_np(::pthread_self(), "call-watch");
  for (bool busy = true; wait(!busy);) try {
      busy = look();
    } catch (const std::exception& e) {
      log::error("plugin", "calls of plugins could not be looked at", {{"reason", e.what()}});
    }
}

/// False where it is time to stop.
bool CallWatch::wait(bool idle) const {
  pollfd entries[] = {{stop_.get(), POLLIN, 0}, {Containment::descriptor(), POLLIN, 0}};
  if (::poll(entries, 2, idle ? kIdleMs : kBusyMs) <= 0) return true;
  eventfd_t ignored = 0;
  if (entries[1].revents != 0) (void)::eventfd_read(Containment::descriptor(), &ignored);
  return entries[0].revents == 0;
}

/// True where plugins are called at the moment.
bool CallWatch::look() {
  const std::uint64_t now = nowNs();
  const std::uint64_t step = std::min<std::uint64_t>(now - last_look_ns_, ns(kLongestStep));
  last_look_ns_ = now;
  Broken broken;
  std::vector<SlowCall> slow;
  for (auto& [slot, seen] : seen_) seen.present = false;
  GuardedThread::forEach([&](GuardSlot& slot) {
    auto& seen = seen_[&slot];
    seen.present = true;
    lookAt(slot, seen, step, slow);
    takeRecords(slot, broken);
  });
  std::erase_if(seen_, [](const auto& one) { return !one.second.present; });
  GuardedThread::takeLeft([&](const Fault& fault, const std::string& thread) { broken.emplace_back(fault, thread); });
  {
    const std::lock_guard lock(mutex_);
    slow_ = std::move(slow);
  }
  {
    const std::lock_guard lock(telling_);
    untold_.insert(untold_.end(), broken.begin(), broken.end());
    tellBroken();
  }
  return now - last_busy_ns_ < ns(kStaysBusy);
}

void CallWatch::tell(OnBroken on_broken) {
  const std::lock_guard lock(telling_);
  on_broken_ = std::move(on_broken);
  tellBroken();
}

void CallWatch::tellBroken() {
  for (; on_broken_ && !untold_.empty(); untold_.pop_front()) on_broken_(untold_.front().first, untold_.front().second);
}

void CallWatch::lookAt(GuardSlot& slot, Seen& seen, std::uint64_t step_ns, std::vector<SlowCall>& slow) {
  const std::uint64_t call = slot.call.load(std::memory_order_relaxed);
  const Guard* const guard = slot.guard.load(std::memory_order_acquire);
  // What is over by the next look is not what a process is killed for.
  const bool lasts = call == seen.call && slot.isInCall() && guard != nullptr;
  if (slot.traced) slot.traced->enter(lasts ? guard->insideOf(GuardSlot::functionOf(call)) : 0);
  if (call != seen.call) {
    last_busy_ns_ = last_look_ns_;
    seen = {.call = call, .present = true};
    return;
  }
  if (!slot.isInCall() || guard == nullptr) {
    seen.lasted_ns = 0;
    return;
  }
  last_busy_ns_ = last_look_ns_;
  seen.lasted_ns += step_ns;
  const std::uint64_t allowed = slot.allowed_ns.load(std::memory_order_relaxed);
  if (seen.lasted_ns < allowed + ns(kSlow)) return;
  slow.push_back({guard->info(), GuardSlot::functionOf(call), slot.name, seen.lasted_ns});
  if (!std::exchange(seen.told, true)) tellSlow(slow.back());
  const auto limit = static_cast<std::uint64_t>(limit_ns_.load(std::memory_order_relaxed));
  if (limit != 0 && seen.lasted_ns >= allowed + limit && Containment::isOn()) breakOff(slot, seen, *guard);
}

void CallWatch::tellSlow(const SlowCall& call) {
  log::warning("plugin", "a call of a plugin is slow and still runs",
               {{"plugin", call.info.id},
                {"version", call.info.version},
                {"file", call.info.file},
                {"generation", call.info.number},
                {"function", nameOf(call.function)},
                {"thread", call.thread},
                {"after", secondsText(call.lasted_ns)}});
  const std::lock_guard lock(mutex_);
  ++counts_[{call.info.id, call.function}];
}

// The thread may be where it must not be torn out, such as in the allocator: then it is told again before long.
void CallWatch::breakOff(GuardSlot& slot, Seen& seen, const Guard& guard) {
  const auto limit = static_cast<std::uint64_t>(limit_ns_.load(std::memory_order_relaxed));
  if (seen.lasted_ns >= slot.allowed_ns.load(std::memory_order_relaxed) + limit + ns(kPatience))
    Containment::giveUp(guard, GuardSlot::functionOf(seen.call), slot.name.c_str());
  if (seen.signalled_ns != 0 && last_look_ns_ - seen.signalled_ns < ns(kAgain)) return;
  seen.signalled_ns = last_look_ns_;
  slot.doomed_ns.store(seen.lasted_ns, std::memory_order_relaxed);
  slot.doomed.store(seen.call, std::memory_order_release);
  (void)::pthread_kill(slot.thread, Containment::hangSignal());
}

std::vector<CallWatch::SlowCall> CallWatch::slowCalls() const {
  const std::lock_guard lock(mutex_);
  return slow_;
}

std::map<CallWatch::Which, std::uint64_t> CallWatch::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace lemonade::plugin
