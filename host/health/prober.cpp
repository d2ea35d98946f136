// SPDX-License-Identifier: MIT
#include "health/prober.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <new>

namespace lemonade::health {
namespace {

constexpr int kEventsAtOnce = 128;
/// A step of a check that takes so long has held the others up.
constexpr std::uint64_t kStallNs = 10'000'000;
constexpr std::uint64_t kNsOfMs = 1'000'000;

Fd makeEventFd() { return ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd"); }

void drain(const Fd& fd) noexcept {
  eventfd_t ignored = 0;
  (void)::eventfd_read(fd.get(), &ignored);
}

}  // namespace

bool Prober::Mailbox::put(Errand& errand) noexcept {
  const bool was_empty = first == nullptr;
  errand.next = nullptr;
  (was_empty ? first : last->next) = &errand;
  last = &errand;
  return was_empty;
}

Errand* Prober::Mailbox::takeAll() noexcept { return std::exchange(first, nullptr); }

Prober::Prober(const Clock& clock)
    : clock_(clock),
      epoll_(ownedFd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      sent_fd_(makeEventFd()),
      returned_fd_(makeEventFd()) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, sent_fd_.get(), &event) != 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

// ---- control thread ------------------------------------------------------------------------------------------------

void Prober::begin(const std::shared_ptr<Errand>& errand) {
  under_way_.emplace(errand.get(), errand);
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = sent_.put(*errand);
  }
  if (first) call();
}

void Prober::lookAgain() noexcept {
  changed_.store(true);
  call();
}

void Prober::takeReturned() {
  drain(returned_fd_);
  Errand* back = nullptr;
  {
    const std::lock_guard lock(mutex_);
    back = returned_.takeAll();
  }
  while (back != nullptr) {
    Errand& errand = *std::exchange(back, back->next);
    const auto home = under_way_.extract(&errand);
    if (errand.owner != nullptr) errand.owner->ended();
  }
}

void Prober::handOver(Prober& other) {
  takeReturned();
  while (!under_way_.empty()) {
    other.begin(under_way_.begin()->second);
    under_way_.erase(under_way_.begin());
  }
}

void Prober::endHere() noexcept {
  for (const auto& [key, errand] : under_way_) errand->probe.cancel();
  under_way_.clear();
}

Prober::Step Prober::step() const noexcept {
  const std::uint64_t since = step_since_ns_.load(std::memory_order_acquire);
  return {since, step_checker_.load(std::memory_order_relaxed)};
}

void Prober::stop() noexcept {
  stopping_.store(true);
  call();
}

void Prober::abandon() noexcept {
  abandoned_.store(true);
  call();
}

bool Prober::awaitEnd(Duration at_most) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, at_most, [&] { return over_; });
}

void Prober::call() noexcept { (void)::eventfd_write(sent_fd_.get(), 1); }

// ---- the thread of checks ------------------------------------------------------------------------------------------

bool Prober::turn(bool waits) {
  epoll_event events[kEventsAtOnce];
  const int count = ::epoll_wait(epoll_.get(), events, kEventsAtOnce, waits ? patience() : 0);
  // What has come from backends goes before what is over: while a checker held this thread up, both may have happened.
  for (int i = 0; i < count && !abandoned_.load(); ++i) {
    auto* const errand = static_cast<Errand*>(events[i].data.ptr);
    if (errand != nullptr)
      carryOn(*errand, [&] { return errand->probe.onReady(events[i].events, buffer_); });
    else
      drain(sent_fd_);
  }
  const bool stops = stopping_.load();
  if (changed_.exchange(false) || stops) handleChanges();
  takeSent();
  handleDue();
  return !stops && !abandoned_.load();
}

void Prober::over() {
  const std::lock_guard lock(mutex_);
  over_ = true;
  (void)::eventfd_write(returned_fd_.get(), 1);
  ended_.notify_all();
}

void Prober::takeSent() {
  Errand* sent = nullptr;
  {
    const std::lock_guard lock(mutex_);
    sent = sent_.takeAll();
  }
  while (sent != nullptr) {
    Errand& errand = *std::exchange(sent, sent->next);
    if (!abandoned_.load()) start(errand);
  }
}

void Prober::start(Errand& errand) {
  // Another thread may have begun it, which is over.
  if (errand.under_way) return giveUp(errand);
  if (errand.cancelled.load() || stopping_.load()) return end(errand, Probe::Outcome::kSkipped);
  errand.under_way = true;
  errand.began_ns = clock_.nowNs();
  errand.stalled_ns = stalled_ns_;
  errand.due_ns = dueOf(errand);
  carryOn(errand, [&] {
    due_.emplace(errand.due_ns, &errand);
    return errand.probe.begin(errand.checker.get(), errand.target, errand.timeout.load(), epoll_.get(), &errand);
  });
}

void Prober::giveUp(Errand& errand) {
  carryOn(errand, [&] {
    errand.probe.cancel();
    return Probe::Outcome::kSkipped;
  });
}

/// One step of a check. Where there is no memory for it the check comes to nothing, and says nothing about the backend.
template <class Act>
void Prober::carryOn(Errand& errand, Act&& act) {
  const std::uint64_t began = clock_.nowNs();
  step_checker_.store(errand.checker.get(), std::memory_order_relaxed);
  step_since_ns_.store(began, std::memory_order_release);
  auto outcome = Probe::Outcome::kSkipped;
  try {
    outcome = act();
  } catch (const std::bad_alloc&) {
    errand.probe.cancel();
  }
  step_since_ns_.store(0, std::memory_order_release);
  if (const std::uint64_t took = clock_.nowNs() - began; took >= kStallNs) stalled_ns_ += took;
  if (outcome != Probe::Outcome::kRunning && !abandoned_.load()) end(errand, outcome);
}

std::uint64_t Prober::dueOf(const Errand& errand) const noexcept {
  return errand.began_ns + static_cast<std::uint64_t>(errand.timeout.load().count()) + stalled_ns_ - errand.stalled_ns;
}

/// How long the thread may sleep, in milliseconds; -1: until it is called.
int Prober::patience() const noexcept {
  if (due_.empty()) return -1;
  const std::uint64_t now = clock_.nowNs(), due = due_.begin()->first;
  if (due <= now) return 0;
  return static_cast<int>(std::min<std::uint64_t>((due - now + kNsOfMs - 1) / kNsOfMs, 1'000'000));
}

void Prober::handleDue() {
  while (!due_.empty() && due_.begin()->first <= clock_.nowNs() && !abandoned_.load()) {
    auto node = due_.extract(due_.begin());
    Errand& errand = *node.value().second;
    const bool is_over = errand.due_ns == dueOf(errand);
    node.value().first = errand.due_ns = dueOf(errand);
    due_.insert(std::move(node));
    if (is_over) carryOn(errand, [&] { return errand.probe.onTimeout(); });
  }
}

/// Some were cancelled, or have another timeout.
void Prober::handleChanges() {
  auto all = std::exchange(due_, {});
  while (!all.empty() && !abandoned_.load()) {
    auto node = all.extract(all.begin());
    Errand& errand = *node.value().second;
    node.value().first = errand.due_ns = dueOf(errand);
    due_.insert(std::move(node));
    if (errand.cancelled.load() || stopping_.load()) giveUp(errand);
  }
}

void Prober::end(Errand& errand, Probe::Outcome outcome) noexcept {
  due_.erase({errand.due_ns, &errand});
  errand.under_way = false;
  errand.outcome = outcome;
  errand.ended_ns = clock_.nowNs();
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = returned_.put(errand);
  }
  if (first) (void)::eventfd_write(returned_fd_.get(), 1);
}

}  // namespace lemonade::health
