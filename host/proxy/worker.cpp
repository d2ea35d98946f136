// SPDX-License-Identifier: MIT
#include "proxy/worker.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "plugin/guarded_thread.h"
#include "proxy/acceptor.h"
#include "proxy/flow_door.h"
#include "proxy/loop_reactor.h"
#include "proxy/meter.h"
#include "proxy/session_set.h"

#include <Poco/Exception.h>
#include <Poco/Thread.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <new>
#include <semaphore>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kRetryAfter = 10'000'000;

/// Notes that a timerfd or an eventfd was readable, and reads it. What it stands for is handled at the end of the turn.
class Bell final : public Guest {
 public:
  explicit Bell(int fd) noexcept : fd_(fd) {}

  void handleReady(std::uint32_t) noexcept override {
    std::uint64_t count;
    [[maybe_unused]] const auto got = ::read(fd_, &count, sizeof(count));
    rung_ = true;
  }
  /// True where it rang since the last call.
  bool take() noexcept { return std::exchange(rung_, false); }

 private:
  const int fd_;
  bool rung_ = false;
};

}  // namespace

/// The thread's side. As a reactor it runs turns: wait, announce that no pick is under way, handle what is due.
class Worker::Impl final : public LoopReactor {
 public:
  Impl(Worker& self, Relay& relay, Meter& meter, std::uint32_t index, Mailbox& mailbox, Sharing& sharing,
       Quiescence& quiescence, const std::atomic<std::uint32_t>& serving);
  ~Impl() override;

  Status start();
  void stop() noexcept;
  bool started() const noexcept { return started_; }
  std::uint64_t sessions() const noexcept { return mailbox_.counters.sessions.value(); }
  void post(std::function<void(Worker&)> task);

  Acceptor& acceptor() noexcept { return acceptor_; }
  SessionSet& sessionSet() noexcept { return sessions_; }
  FlowDoor& flowDoor() noexcept { return flow_door_; }

 private:
  void run() override;
  void onBusy() override;
  void handleWake();
  void handleTimer();
  bool attach() noexcept;
  void describe(const std::system_error& error) noexcept;
  void runTasks() noexcept;
  void arm();

  Worker& self_;
  const Clock& clock_ = Clock::steady();  // which the timer below goes by
  const std::uint32_t index_;
  Mailbox& mailbox_;
  Quiescence& quiescence_;
  Relay& relay_;
  SessionSet sessions_;
  Acceptor acceptor_;
  FlowDoor flow_door_;
  Fd timer_fd_;
  Bell timer_;
  Bell wake_;
  std::uint64_t armed_for_ = 0;  // 0: not armed
  std::vector<std::function<void(Worker&)>> running_;
  std::size_t next_ = 0;        // of running_
  std::uint64_t retry_at_ = 0;  // running_ goes on then; 0: nothing is left of it

  Poco::Thread thread_;
  bool started_ = false;
  std::atomic<bool> stopping_{false};
  std::string obstacle_;  // why the thread cannot work; written by it before begun_
  std::binary_semaphore begun_{0};

  std::mutex mutex_;  // guards tasks_
  std::vector<std::function<void(Worker&)>> tasks_;
};

Worker::Impl::Impl(Worker& self, Relay& relay, Meter& meter, std::uint32_t index, Mailbox& mailbox, Sharing& sharing,
                   Quiescence& quiescence, const std::atomic<std::uint32_t>& serving)
    : LoopReactor(relay),
      self_(self),
      index_(index),
      mailbox_(mailbox),
      quiescence_(quiescence),
      relay_(relay),
      sessions_(index, relay, meter, serving, mailbox, clock_),
      acceptor_(index, sessions_, relay, sharing, mailbox, clock_),
      flow_door_(index, relay, mailbox, clock_),
      timer_fd_(ownedFd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")),
      timer_(timer_fd_.get()),
      wake_(mailbox.wake_fd.get()),
      thread_("worker-" + std::to_string(index)) {
  relay_.addGuest(timer_fd_.get(), POLLIN, timer_, EventLoop::Wake::kEach);
  relay_.addGuest(mailbox_.wake_fd.get(), POLLIN, wake_, EventLoop::Wake::kEach);
}

Worker::Impl::~Impl() {
  stop();
  acceptor_.stop();
}

Status Worker::Impl::start() {
  quiescence_.setOnline(index_);
  try {
    thread_.setStackSize(plugin::GuardedThread::kStackSize);
    thread_.start(*this);
    begun_.acquire();
    if (obstacle_.empty()) {
      started_ = true;
      mailbox_.pulse.begin();
      return success();
    }
    thread_.join();
  } catch (const Poco::Exception& error) {
    obstacle_ = error.displayText();
  }
  quiescence_.setOffline(index_);
  return Error{obstacle_};
}

void Worker::Impl::run() {
  (void)::pthread_setname_np(::pthread_self(), thread_.name().c_str());  // what top -H shows
  (void)::prctl(PR_SET_TIMERSLACK, 1'000UL);                             // coalescing.h counts in microseconds
  const plugin::GuardedThread guarded(thread_.name());
  const bool able = attach();
  begun_.release();
  if (able) LoopReactor::run();
  flow_door_.close();
  sessions_.end();
}

bool Worker::Impl::attach() noexcept {
  obstacle_ = "out of memory";  // so short that it needs none
  try {
    relay_.attach();
    obstacle_.clear();
  } catch (const std::system_error& error) {
    describe(error);
  } catch (...) {
  }
  return obstacle_.empty();
}

void Worker::Impl::describe(const std::system_error& error) noexcept try {
  obstacle_ = error.what();
} catch (const std::bad_alloc&) {
  // It stays what it is.
}

void Worker::Impl::stop() noexcept {
  if (!std::exchange(started_, false)) return;
  stopping_.store(true);
  mailbox_.wake();
  thread_.join();
  mailbox_.pulse.end();
  mailbox_.lag.due(0);
  quiescence_.setOffline(index_);
}

void Worker::Impl::post(std::function<void(Worker&)> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  mailbox_.wake();
}

// The end of a turn. What was retired before the eventfd was read may rely on this announcement alone.
void Worker::Impl::onBusy() {
  sessions_.endTurn();
  quiescence_.announce(index_);
  if (wake_.take()) handleWake();
  if (timer_.take()) handleTimer();
  arm();
  mailbox_.lag.done(coarseNs());
}

void Worker::Impl::handleWake() {
  mailbox_.pulse.answer();
  runTasks();
  if (stopping_.load()) LoopReactor::stop();
  acceptor_.takeNewcomers();
  sessions_.handlePlaces();
  acceptor_.resume();
}

void Worker::Impl::runTasks() noexcept {
  retry_at_ = 0;
  for (;;) {
    if (next_ == running_.size()) {
      running_.clear();
      next_ = 0;
      const std::lock_guard lock(mutex_);
      if (tasks_.empty()) return;
      running_.swap(tasks_);
    }
    try {
      running_[next_](self_);
    } catch (const std::bad_alloc&) {
      retry_at_ = clock_.nowNs() + kRetryAfter;
      return;
    } catch (const std::exception& error) {
      log::error("proxy", "a task of a worker failed", {{"error", error.what()}});
    }
    running_[next_++] = nullptr;
  }
}

void Worker::Impl::handleTimer() {
  armed_for_ = 0;
  const std::uint64_t now = clock_.nowNs();
  if (retry_at_ != 0 && retry_at_ <= now) runTasks();
  sessions_.handleDue(now);
  acceptor_.handleDue(now);
  flow_door_.handleDue(now);
}

// A timer that is armed too early costs one look when it fires; so it is only ever set for an earlier time.
void Worker::Impl::arm() {
  std::uint64_t due = sessions_.nextDue();
  for (const std::uint64_t other : {acceptor_.nextDue(), flow_door_.nextDue(), retry_at_})
    if (other != 0 && (due == 0 || other < due)) due = other;
  if (due == 0 || (armed_for_ != 0 && armed_for_ <= due)) return;
  armed_for_ = due;
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(due / 1'000'000'000);
  when.it_value.tv_nsec = static_cast<long>(due % 1'000'000'000);
  (void)::timerfd_settime(timer_fd_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

Worker::Worker(std::uint32_t index, RelayKind relay, Mailbox& mailbox, Sharing& sharing, Quiescence& quiescence,
               const std::atomic<std::uint32_t>& serving)
    : meter_(std::make_unique<Meter>(index)),
      relay_(makeRelay(relay, *meter_)),
      impl_(std::make_unique<Impl>(*this, *relay_, *meter_, index, mailbox, sharing, quiescence, serving)) {}

Worker::~Worker() = default;

std::uint64_t Worker::sessions() const noexcept { return impl_->sessions(); }
Status Worker::start() { return impl_->start(); }
void Worker::stop() noexcept { impl_->stop(); }
bool Worker::started() const noexcept { return impl_->started(); }
void Worker::post(std::function<void(Worker&)> task) { impl_->post(std::move(task)); }
Acceptor& Worker::acceptor() noexcept { return impl_->acceptor(); }
SessionSet& Worker::sessionSet() noexcept { return impl_->sessionSet(); }
FlowDoor& Worker::flowDoor() noexcept { return impl_->flowDoor(); }

}  // namespace lemonade::proxy
