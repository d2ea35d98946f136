// SPDX-License-Identifier: MIT
//
// The control thread on a Poco SocketReactor. Posted tasks arrive behind one eventfd, timers behind one timerfd armed
// for the earliest of them; both are ordinary watched descriptors, so the reactor needs no timeout of its own.
//
// Threads: the queue of posted tasks is locked; timers and watches belong to the control thread.
#include "base/control_loop.h"

#include "base/borrowed_socket.h"
#include "base/fd.h"
#include "base/log.h"

#include <Poco/NObserver.h>
#include <Poco/Net/SocketNotification.h>
#include <Poco/Net/SocketReactor.h>
#include <Poco/Thread.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <unordered_map>
#include <vector>

namespace lemonade {
namespace {

using Poco::Net::ReadableNotification;

constexpr int kMostSpare = 16;
constexpr Duration kLongDelay = std::chrono::seconds(1);

/// A reactor that does nothing between events. It is woken by descriptors alone, so its timeout is long.
class Reactor : public Poco::Net::SocketReactor {
 public:
  Reactor() : SocketReactor(Poco::Timespan(Poco::Timespan::DAYS)) {}

 protected:
  void onTimeout() override {}
  void onIdle() override {}
  void onBusy() override {}
};

/// Runs a task and survives it.
void guarded(const ControlLoop::Task& task) noexcept try { task(); } catch (const Poco::Exception& e) {
  log::error("app", "a control task failed", {{"error", e.message().empty() ? e.name() : e.message()}});
} catch (const std::exception& e) {
  log::error("app", "a control task failed", {{"error", e.what()}});
} catch (...) {
  log::error("app", "a control task failed", {{"error", "unknown exception"}});
}

std::uint64_t later(std::uint64_t now, Duration delay) noexcept {
  return now + static_cast<std::uint64_t>(std::max(delay, Duration::zero()).count());
}

/// A deadline put off to a boundary that other long delays share, by less than a hundredth of its delay.
std::uint64_t rounded(std::uint64_t due, Duration delay) noexcept {
  if (delay < kLongDelay) return due;
  const auto slot = std::bit_floor(static_cast<std::uint64_t>(delay.count()) / 100);
  return (due + slot - 1) / slot * slot;
}

thread_local const void* t_current_loop = nullptr;

}  // namespace

class ControlLoop::Impl : public Poco::Runnable {
 public:
  Impl(const std::string& name, const Clock& clock);
  ~Impl() override;

  void start();
  void stop();
  bool post(Task task);
  bool run(Task task);
  TimerId after(Duration delay, Task task);
  TimerId every(Duration interval, Task task);
  void cancel(TimerId id);
  void watch(int fd, Task readable);
  void unwatch(int fd);
  const Clock& clock() const noexcept { return clock_; }
  bool isCurrent() const noexcept { return t_current_loop == this; }

  void run() override;

 private:
  struct Timer {
    std::uint64_t interval_ns;  // 0: once
    Task task;
  };
  using TimerKey = std::pair<std::uint64_t, TimerId>;  // when due, which

  /// One watched descriptor. It may be unwatched within its own task, so the task runs on a copy of the pointer.
  struct Watch : std::enable_shared_from_this<Watch> {
    Watch(int fd, Task readable) : socket(fd), task(std::move(readable)) {}
    void onReadable(const Poco::AutoPtr<ReadableNotification>&) {
      const auto self = shared_from_this();
      guarded(self->task);
    }
    Poco::NObserver<Watch, ReadableNotification> observer() { return {*this, &Watch::onReadable}; }

    BorrowedSocket socket;
    Task task;
  };

  /// Whoever waits in run(), until the task ran or was dropped.
  struct Call {
    std::mutex mutex;
    std::condition_variable ended;
    bool over = false;
    bool ran = false;

    void end(bool has_run) noexcept {
      const std::lock_guard lock(mutex);
      over = true;
      ran = has_run;
      ended.notify_one();
    }
  };
  /// A task in the queue: on the heap, or on the stack of who waits for it, who needs no memory so.
  struct Posted {
    Task task;
    Call* call = nullptr;
    Posted* next = nullptr;
  };
  void end(Posted* posted, bool has_run) noexcept;

  bool enqueue(Posted& posted) noexcept;
  std::unique_ptr<Posted> makePosted();
  Posted* takePosted() noexcept;
  void wake() noexcept;
  bool stopping() const;
  void runPosted();
  TimerId addTimer(std::uint64_t due, Duration interval, Task task);
  void handleTimer();
  void runTimers();
  void forget(std::map<TimerKey, Timer>::node_type timer);
  void arm();

  // Constant after construction.
  const Clock& clock_;
  Fd wake_fd_;
  Fd timer_fd_;

  // Whoever starts and stops.
  Poco::Thread thread_;
  bool started_ = false;

  // Control thread only.
  Reactor reactor_;
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;
  std::map<TimerKey, Timer> timers_;
  std::map<TimerId, std::uint64_t> due_;  // of each live timer, also of the one that runs
  TimerId last_timer_ = 0;
  std::uint64_t armed_for_ = 0;  // 0: not armed
  bool running_timers_ = false;
  // Timers that are no more: later ones take their memory, so that whoever has one can have the next without any.
  std::map<TimerKey, Timer> spare_timers_;
  std::map<TimerId, std::uint64_t> spare_due_;

  mutable std::mutex mutex_;  // guards what follows
  Posted* first_posted_ = nullptr;
  Posted* last_posted_ = nullptr;
  Posted* spare_posted_ = nullptr;  // what is posted with one of these needs no memory
  int spare_count_ = 0;
  bool stopping_ = false;
};

ControlLoop::Impl::Impl(const std::string& name, const Clock& clock)
    : clock_(clock),
      wake_fd_(ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      timer_fd_(ownedFd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")),
      thread_(name) {
  watch(wake_fd_.get(), [this] { runPosted(); });
  watch(timer_fd_.get(), [this] { handleTimer(); });
  for (int i = 0; i < kMostSpare; ++i) end(new Posted, false);
}

ControlLoop::Impl::~Impl() {
  stop();
  while (spare_posted_ != nullptr) (void)makePosted();
}

void ControlLoop::Impl::start() {
  try {
    thread_.start(*this);
  } catch (const Poco::SystemException& e) {
    throw std::runtime_error("cannot start the control thread: " + e.message() +
                             "; raise what limits memory and threads (ulimit -a)");
  }
  started_ = true;
}

void ControlLoop::Impl::run() {
  t_current_loop = this;
  reactor_.run();
  t_current_loop = nullptr;
}

void ControlLoop::Impl::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  // Before the join: the task under way may wait for somebody who waits in run().
  for (Posted *posted = takePosted(), *next = nullptr; posted != nullptr; posted = next) {
    next = posted->next;
    end(posted, false);
  }
  wake();
  if (std::exchange(started_, false)) thread_.join();
  // What a dropped timer owns may call back into the loop while it goes, so the containers are empty by then.
  due_.clear();
  const auto timers = std::exchange(timers_, {});
  while (!watches_.empty()) unwatch(watches_.begin()->first);
}

void ControlLoop::Impl::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd_.get(), &one, sizeof(one));  // full means: awake already
}

bool ControlLoop::Impl::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

/// False where the loop has stopped; the task is still the caller's then.
bool ControlLoop::Impl::enqueue(Posted& posted) noexcept {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    first = first_posted_ == nullptr;
    (first ? first_posted_ : last_posted_->next) = &posted;
    last_posted_ = &posted;
  }
  if (first) wake();
  return true;
}

ControlLoop::Impl::Posted* ControlLoop::Impl::takePosted() noexcept {
  std::lock_guard lock(mutex_);
  return std::exchange(first_posted_, nullptr);
}

void ControlLoop::Impl::end(Posted* posted, bool has_run) noexcept {
  posted->task = nullptr;
  if (posted->call != nullptr) return posted->call->end(has_run);
  {
    const std::lock_guard lock(mutex_);
    if (spare_count_ < kMostSpare) {
      posted->next = std::exchange(spare_posted_, posted);
      ++spare_count_;
      return;
    }
  }
  delete posted;
}

std::unique_ptr<ControlLoop::Impl::Posted> ControlLoop::Impl::makePosted() {
  {
    const std::lock_guard lock(mutex_);
    if (Posted* const spare = spare_posted_; spare != nullptr) {
      spare_posted_ = std::exchange(spare->next, nullptr);
      --spare_count_;
      return std::unique_ptr<Posted>(spare);
    }
  }
  return std::make_unique<Posted>();
}

bool ControlLoop::Impl::post(Task task) {
  auto posted = makePosted();
  posted->task = std::move(task);
  if (!enqueue(*posted)) return false;
  (void)posted.release();
  return true;
}

bool ControlLoop::Impl::run(Task task) {
  if (isCurrent()) {
    guarded(task);
    return true;
  }
  Call call;
  Posted posted{std::move(task), &call};
  if (!enqueue(posted)) return false;
  std::unique_lock lock(call.mutex);
  call.ended.wait(lock, [&] { return call.over; });
  return call.ran;
}

void ControlLoop::Impl::runPosted() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(wake_fd_.get(), &count, sizeof(count));
  for (Posted *posted = takePosted(), *next = nullptr; posted != nullptr; posted = next) {
    next = posted->next;
    const bool runs = !stopping();
    if (runs) guarded(posted->task);
    end(posted, runs);
  }
  if (stopping()) return reactor_.stop();
  runTimers();
}

ControlLoop::TimerId ControlLoop::Impl::after(Duration delay, Task task) {
  return addTimer(rounded(later(clock_.nowNs(), delay), delay), Duration::zero(), std::move(task));
}

ControlLoop::TimerId ControlLoop::Impl::every(Duration interval, Task task) {
  const Duration at_least = std::max<Duration>(interval, std::chrono::milliseconds(1));
  return addTimer(later(clock_.nowNs(), at_least), at_least, std::move(task));
}

ControlLoop::TimerId ControlLoop::Impl::addTimer(std::uint64_t due, Duration interval, Task task) {
  const auto id = ++last_timer_;
  // Both or none, and the second cannot fail.
  if (spare_timers_.empty()) spare_timers_.emplace(TimerKey{due, id}, Timer{});
  if (spare_due_.empty()) {
    due_.emplace(id, due);
  } else {
    auto entry = spare_due_.extract(spare_due_.begin());
    entry.key() = id;
    entry.mapped() = due;
    due_.insert(std::move(entry));
  }
  auto timer = spare_timers_.extract(spare_timers_.begin());
  timer.key() = TimerKey{due, id};
  timer.mapped() = {static_cast<std::uint64_t>(interval.count()), std::move(task)};
  timers_.insert(std::move(timer));
  arm();
  return id;
}

// Its task goes last: what that owns may cancel other timers.
void ControlLoop::Impl::forget(std::map<TimerKey, Timer>::node_type timer) {
  spare_due_.insert(due_.extract(timer.key().second));
  const Task ended = std::exchange(timer.mapped().task, nullptr);
  spare_timers_.insert(std::move(timer));
}

void ControlLoop::Impl::cancel(TimerId id) {
  const auto found = due_.find(id);
  if (found == due_.end()) return;
  // The timerfd stays armed and finds nothing to do.
  auto timer = timers_.extract(TimerKey{found->second, id});
  timer.empty() ? void(spare_due_.insert(due_.extract(found))) : forget(std::move(timer));
}

void ControlLoop::Impl::handleTimer() {
  std::uint64_t expirations = 0;
  [[maybe_unused]] const auto got = ::read(timer_fd_.get(), &expirations, sizeof(expirations));
  armed_for_ = 0;
  runTimers();
}

void ControlLoop::Impl::runTimers() {
  running_timers_ = true;
  const auto now = clock_.nowNs();
  while (!timers_.empty() && timers_.begin()->first.first <= now && !stopping()) {
    auto timer = timers_.extract(timers_.begin());
    const auto [due, id] = timer.key();
    const auto interval = timer.mapped().interval_ns;
    if (interval == 0) {
      const Task task = std::exchange(timer.mapped().task, nullptr);
      forget(std::move(timer));
      guarded(task);
      continue;
    }
    guarded(timer.mapped().task);
    const auto alive = due_.find(id);
    if (alive == due_.end()) {
      forget(std::move(timer));
      continue;
    }
    // A beat that was missed is not made up for.
    alive->second = std::max(due + interval, clock_.nowNs());
    timer.key().first = alive->second;
    timers_.insert(std::move(timer));
  }
  running_timers_ = false;
  arm();
}

void ControlLoop::Impl::arm() {
  if (running_timers_ || timers_.empty()) return;
  const auto due = std::max<std::uint64_t>(timers_.begin()->first.first, 1);
  if (armed_for_ != 0 && armed_for_ <= due) return;
  armed_for_ = due;
  // As a delay, since only the clock knows what its times mean.
  const auto now = clock_.nowNs();
  const auto delay = due > now ? due - now : 1;
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(delay / 1'000'000'000);
  spec.it_value.tv_nsec = static_cast<long>(delay % 1'000'000'000);
  ::timerfd_settime(timer_fd_.get(), 0, &spec, nullptr);
}

void ControlLoop::Impl::watch(int fd, Task readable) {
  const auto [entry, added] = watches_.emplace(fd, std::make_shared<Watch>(fd, std::move(readable)));
  if (!added) throw std::logic_error("descriptor " + std::to_string(fd) + " is watched already");
  reactor_.addEventHandler(entry->second->socket, entry->second->observer());
}

void ControlLoop::Impl::unwatch(int fd) {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) return;
  const auto watch = std::move(found->second);
  watches_.erase(found);
  reactor_.removeEventHandler(watch->socket, watch->observer());
}

ControlLoop::ControlLoop(const std::string& name, const Clock& clock) : impl_(std::make_unique<Impl>(name, clock)) {}
ControlLoop::~ControlLoop() = default;

void ControlLoop::start() { impl_->start(); }
void ControlLoop::stop() { impl_->stop(); }
void ControlLoop::post(Task task) { impl_->post(std::move(task)); }
bool ControlLoop::run(Task task) { return impl_->run(std::move(task)); }

ControlLoop::TimerId ControlLoop::after(Duration delay, Task task) { return impl_->after(delay, std::move(task)); }

ControlLoop::TimerId ControlLoop::every(Duration interval, Task task) {
  return impl_->every(interval, std::move(task));
}

void ControlLoop::cancel(TimerId timer) { impl_->cancel(timer); }
void ControlLoop::watch(int fd, Task readable) { impl_->watch(fd, std::move(readable)); }
void ControlLoop::unwatch(int fd) { impl_->unwatch(fd); }
const Clock& ControlLoop::clock() const noexcept { return impl_->clock(); }
bool ControlLoop::isCurrent() const noexcept { return impl_->isCurrent(); }

}  // namespace lemonade
