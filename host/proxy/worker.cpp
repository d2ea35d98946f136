// SPDX-License-Identifier: MIT
#include "proxy/worker.h"

#include "base/clock.h"
#include "base/log.h"

#include <Poco/Exception.h>
#include <Poco/NObserver.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kRetryAfter = 10'000'000;

using Poco::Net::ReadableNotification;
using Observer = Poco::NObserver<Worker, ReadableNotification>;

}  // namespace

Worker::Reactor::Reactor(Quiescence& quiescence, std::uint32_t worker)
    : SocketReactor(Poco::Timespan(Poco::Timespan::DAYS)), quiescence_(quiescence), worker_(worker) {}

Worker::Worker(std::uint32_t index, RelayKind relay, Mailbox& mailbox, Sharing& sharing, Quiescence& quiescence,
               const std::atomic<std::uint32_t>& serving)
    : index_(index),
      mailbox_(mailbox),
      quiescence_(quiescence),
      timer_fd_(ownedFd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")),
      reactor_(quiescence, index),
      sessions_(index, relay, serving, mailbox),
      acceptor_(index, sessions_, sharing, mailbox),
      sessions_socket_(sessions_.fd()),
      timer_socket_(timer_fd_.get()),
      wake_socket_(mailbox.wake_fd.get()),
      thread_("worker-" + std::to_string(index)) {
  reactor_.addEventHandler(sessions_socket_, Observer(*this, &Worker::onSessions));
  reactor_.addEventHandler(timer_socket_, Observer(*this, &Worker::onTimer));
  reactor_.addEventHandler(wake_socket_, Observer(*this, &Worker::onWake));
  sessions_.addGuest(timer_fd_.get());
  sessions_.addGuest(mailbox_.wake_fd.get());
}

Worker::~Worker() {
  stop();
  acceptor_.stop();
  reactor_.removeEventHandler(sessions_socket_, Observer(*this, &Worker::onSessions));
  reactor_.removeEventHandler(timer_socket_, Observer(*this, &Worker::onTimer));
  reactor_.removeEventHandler(wake_socket_, Observer(*this, &Worker::onWake));
}

Status Worker::start() {
  quiescence_.setOnline(index_);
  try {
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

void Worker::run() {
  (void)::pthread_setname_np(::pthread_self(), thread_.name().c_str());  // what top -H shows
  (void)::prctl(PR_SET_TIMERSLACK, 1'000UL);                             // coalescing.h counts in microseconds
  const bool able = attach();
  begun_.release();
  if (able) reactor_.run();
  sessions_.detach();
}

bool Worker::attach() noexcept {
  obstacle_ = "out of memory";  // so short that it needs none
  try {
    sessions_.attach();
    obstacle_.clear();
  } catch (const std::system_error& error) {
    describe(error);
  } catch (...) {
  }
  return obstacle_.empty();
}

void Worker::describe(const std::system_error& error) noexcept try {
  obstacle_ = error.what();
} catch (const std::bad_alloc&) {
  // It stays what it is.
}

void Worker::stop() noexcept {
  if (!std::exchange(started_, false)) return;
  stopping_.store(true);
  mailbox_.wake();
  thread_.join();
  mailbox_.pulse.end();
  quiescence_.setOffline(index_);
}

void Worker::post(std::function<void(Worker&)> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  mailbox_.wake();
}

void Worker::onWake(const Poco::AutoPtr<ReadableNotification>&) {
  eventfd_t ignored;
  (void)::eventfd_read(mailbox_.wake_fd.get(), &ignored);
  // What was retired since this turn began has had its wake-up swallowed by that read.
  quiescence_.announce(index_);
  mailbox_.pulse.answer();
  runTasks();
  if (stopping_.load()) {
    reactor_.stop();
    sessions_.leave();
  }
  acceptor_.takeNewcomers();
  sessions_.handlePlaces();
  acceptor_.resume();
  arm();
}

void Worker::runTasks() noexcept {
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
      running_[next_](*this);
    } catch (const std::bad_alloc&) {
      retry_at_ = nowNs() + kRetryAfter;
      return;
    } catch (const std::exception& error) {
      log::error("proxy", "a task of a worker failed", {{"error", error.what()}});
    }
    running_[next_++] = nullptr;
  }
}

void Worker::onSessions(const Poco::AutoPtr<ReadableNotification>&) {
  while (sessions_.handleReady()) {
    arm();
    quiescence_.announce(index_);
  }
  arm();
}

void Worker::onTimer(const Poco::AutoPtr<ReadableNotification>&) {
  std::uint64_t ignored;
  [[maybe_unused]] const auto expirations = ::read(timer_fd_.get(), &ignored, sizeof(ignored));
  armed_for_ = 0;
  const std::uint64_t now = nowNs();
  if (retry_at_ != 0 && retry_at_ <= now) runTasks();
  sessions_.handleDue(now);
  acceptor_.handleDue(now);
  arm();
}

// A timer that is armed too early costs one look when it fires; so it is only ever set for an earlier time.
void Worker::arm() {
  std::uint64_t due = sessions_.nextDue();
  for (const std::uint64_t other : {acceptor_.nextDue(), retry_at_})
    if (other != 0 && (due == 0 || other < due)) due = other;
  if (due == 0 || (armed_for_ != 0 && armed_for_ <= due)) return;
  armed_for_ = due;
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(due / 1'000'000'000);
  when.it_value.tv_nsec = static_cast<long>(due % 1'000'000'000);
  (void)::timerfd_settime(timer_fd_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace lemonade::proxy
