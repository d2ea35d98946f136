// SPDX-License-Identifier: MIT
#include "process/service_manager.h"

#include "base/fd.h"
#include "base/inherited_descriptors.h"
#include "base/log.h"
#include "base/seconds.h"
#include "base/socket_address.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

namespace lemonade {

namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr Duration kStateInterval = 5s;   // sessions come and go, and each change costs the service manager something
constexpr Duration kChangeInterval = 1s;  // a backend that flips is told sooner
constexpr Duration kMostBetweenLooks = 10s;
constexpr Duration kLeastBetweenLooks = 20ms;
constexpr Duration kLastWords = 1s;
constexpr std::size_t kLongestState = 500;

/// How long the service manager waits for a sign of life; zero: for ever.
Duration watchdogTime() {
  std::uint64_t usec = 0;
  const int enabled = ::sd_watchdog_enabled(0, &usec);
  if (enabled < 0)
    log::warning("app", "WATCHDOG_USEC or WATCHDOG_PID is no number, the service manager is not told that we move",
                 {{"error", ::strerror(-enabled)}});
  if (enabled <= 0) return Duration::zero();
  constexpr std::uint64_t kMost = std::numeric_limits<Duration::rep>::max() / 1000;
  return Duration(static_cast<Duration::rep>(std::min(usec, kMost)) * 1000);
}

std::string micros(Duration time) { return std::to_string(time / 1us); }

/// One line, and not too long a one.
std::string line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' '; }, ' ');
  if (text.size() > kLongestState) text.resize(kLongestState);
  return text;
}

/// What is told, and the descriptor that goes with it, where there is one.
struct Message {
  std::string text;
  Fd fd;
};

std::string addressOf(int listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  const bool known = ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  return known ? socketAddressText(address) : "";
}

/// What the service manager calls a socket that it keeps: no ':' may be in it.
std::string keptName(const std::string& purpose, int listener) {
  std::string name = InheritedDescriptors::kKept + purpose + "-" + addressOf(listener);
  std::replace(name.begin(), name.end(), ':', '_');
  return name;
}

ino_t inodeOf(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

}  // namespace

struct ServiceManager::Impl {
  const Duration watchdog = watchdogTime();
  // The service manager hears of us several times before its patience is over.
  const Duration between_looks = std::clamp<Duration>(watchdog / 4, kLeastBetweenLooks, kMostBetweenLooks);

  std::mutex asking;  // held while questions are asked; before `mutex`
  std::mutex mutex;   // guards what follows
  std::condition_variable changed;
  std::deque<Message> messages;
  bool telling = false;  // a message is under way
  bool ready = false;
  bool stopping = false;
  bool silent = false;
  bool state_changed = false;
  bool over = false;
  std::string result;                 // of the last reload
  std::string told_state;             // empty: it is to be told again
  std::map<std::string, ino_t> kept;  // sockets, by name
  Questions questions;                // changed with `asking` held, too

  // The thread's own.
  Steady::time_point next_look{}, next_state{}, earliest_state{};
  std::map<std::string, std::uint64_t> still;  // since when
  bool complained = false;

  void run();
  void tell(std::string text, Fd fd = Fd());  // with `mutex` held
  void tellAll(std::unique_lock<std::mutex>& lock);
  void send(const Message& message) noexcept;
  void look();
  bool everythingMoves();
  void tellState();
  Steady::time_point nextDue() const;  // with `mutex` held
};

// A message is lost where nobody takes it; the balancer serves on.
void ServiceManager::Impl::send(const Message& message) noexcept {
  const int fd = message.fd.get();
  const int sent = ::sd_pid_notify_with_fds(0, 0, message.text.c_str(), &fd, message.fd ? 1 : 0);
  if (sent > 0 || std::exchange(complained, sent < 0)) return;
  log::warning("app", "the service manager cannot be told, see NOTIFY_SOCKET", {{"error", ::strerror(-sent)}});
}

void ServiceManager::Impl::tell(std::string text, Fd fd) {
  if (silent) return;
  messages.push_back({std::move(text), std::move(fd)});
  changed.notify_all();
}

void ServiceManager::Impl::tellAll(std::unique_lock<std::mutex>& lock) {
  while (!messages.empty()) {
    const Message message = std::move(messages.front());
    messages.pop_front();
    telling = true;
    lock.unlock();
    send(message);
    lock.lock();
    telling = false;
  }
  changed.notify_all();
}

bool ServiceManager::Impl::everythingMoves() {
  if (!questions.still) return true;
  const std::uint64_t now = nowNs();
  std::map<std::string, std::uint64_t> now_still;
  for (auto& [thread, since_ns] : questions.still(now)) now_still.emplace(std::move(thread), since_ns);
  for (const auto& [thread, since_ns] : now_still)
    log::error("app", "a thread stands still, the service manager will end the process unless it moves again",
               {{"thread", thread}, {"for", secondsText(now - since_ns)}, {"watchdog", secondsText(watchdog.count())}});
  for (const auto& [thread, since_ns] : still)
    if (!now_still.contains(thread)) log::warning("app", "a thread moves again", {{"thread", thread}});
  still = std::move(now_still);
  return still.empty();
}

void ServiceManager::Impl::look() {
  {
    const std::lock_guard lock(asking);
    if (!everythingMoves()) return;
  }
  const std::lock_guard lock(mutex);
  tell("WATCHDOG=1");
}

void ServiceManager::Impl::tellState() {
  const std::lock_guard asks(asking);
  if (!questions.state) return;
  std::string text = questions.state();
  const std::lock_guard lock(mutex);
  text = line(result.empty() ? std::move(text) : text + "; " + result);
  if (text != std::exchange(told_state, text)) tell("STATUS=" + text);
}

Steady::time_point ServiceManager::Impl::nextDue() const {
  auto due = Steady::time_point::max();
  if (watchdog != Duration::zero()) due = next_look;
  return std::min(due, state_changed ? std::min(next_state, earliest_state) : next_state);
}

void ServiceManager::Impl::run() {
  std::unique_lock lock(mutex);
  for (;;) {
    tellAll(lock);
    if (over) return;
    if (!ready || silent) {
      changed.wait(lock);
      continue;
    }
    const auto now = Steady::now();
    const bool looks = watchdog != Duration::zero() && now >= next_look;
    const bool tells = now >= next_state || (state_changed && now >= earliest_state);
    if (!looks && !tells) {
      changed.wait_until(lock, nextDue());
      continue;
    }
    if (looks) next_look = now + between_looks;
    if (tells) {
      next_state = now + kStateInterval;
      earliest_state = now + kChangeInterval;
      state_changed = false;
    }
    lock.unlock();
    try {
      if (looks) look();
      if (tells) tellState();
    } catch (const std::exception&) {
      // There was no memory: the next time there may be.
    }
    lock.lock();
  }
}

ServiceManager::ServiceManager(std::map<std::string, ino_t> kept) {
  const char* socket = std::getenv("NOTIFY_SOCKET");
  if (socket == nullptr || *socket == '\0') return;
  impl_ = std::make_shared<Impl>();
  impl_->kept = std::move(kept);
  try {
    std::thread([impl = impl_] {
      (void)::pthread_setname_np(::pthread_self(), "service");
      impl->run();
    }).detach();
  } catch (const std::system_error& error) {
    log::warning("app", "the service manager is told nothing for want of a thread", {{"error", error.what()}});
    impl_.reset();
  }
}

// Where it does not take what is told, the thread is left behind.
ServiceManager::~ServiceManager() {
  if (impl_ == nullptr) return;
  stopAsking();
  std::unique_lock lock(impl_->mutex);
  impl_->over = true;
  impl_->changed.notify_all();
  impl_->changed.wait_for(lock, kLastWords, [&] { return impl_->messages.empty() && !impl_->telling; });
}

void ServiceManager::starting(Duration at_most) {
  if (impl_ == nullptr) return;
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->ready)
    impl_->tell("EXTEND_TIMEOUT_USEC=" + micros(at_most) + "\nSTATUS=waiting for the first checks of the backends");
}

void ServiceManager::ready(Questions questions) {
  if (impl_ == nullptr) return;
  const std::string state = line(questions.state());
  const std::scoped_lock lock(impl_->asking, impl_->mutex);
  impl_->questions = std::move(questions);
  impl_->ready = true;
  impl_->tell("READY=1\nSTATUS=" + state);
}

void ServiceManager::changed() {
  if (impl_ == nullptr) return;
  const std::lock_guard lock(impl_->mutex);
  if (std::exchange(impl_->state_changed, true)) return;
  impl_->changed.notify_all();
}

void ServiceManager::reloading() {
  if (impl_ == nullptr) return;
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->ready || impl_->stopping) return;
  impl_->tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(nowNs() / 1000) + "\nSTATUS=reloading");
}

void ServiceManager::reloaded(const std::string& result) {
  if (impl_ == nullptr) return;
  const std::lock_guard lock(impl_->mutex);
  impl_->result = result;
  impl_->told_state.clear();
  if (!impl_->ready || impl_->stopping) return;
  impl_->tell("READY=1\nSTATUS=" + line(result));
  impl_->state_changed = true;
}

// Without memory the stop goes on unsaid.
void ServiceManager::stopping(Duration at_most) try {
  if (impl_ == nullptr) return;
  const std::lock_guard lock(impl_->mutex);
  impl_->stopping = true;
  impl_->tell("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + micros(at_most));
  impl_->state_changed = true;
} catch (const std::bad_alloc&) {
}

void ServiceManager::keep(const std::vector<std::pair<std::string, int>>& listeners) {
  if (impl_ == nullptr) return;
  std::map<std::string, std::pair<ino_t, int>> wanted;
  for (const auto& [purpose, fd] : listeners) wanted[keptName(purpose, fd)] = {inodeOf(fd), fd};
  const std::lock_guard lock(impl_->mutex);
  std::erase_if(impl_->kept, [&](const auto& kept) {
    const auto found = wanted.find(kept.first);
    if (found != wanted.end() && found->second.first == kept.second) return false;
    impl_->tell("FDSTOREREMOVE=1\nFDNAME=" + kept.first);
    return true;
  });
  for (const auto& [name, socket] : wanted) {
    if (impl_->kept.contains(name)) continue;
    Fd copy(::fcntl(socket.second, F_DUPFD_CLOEXEC, 0));
    if (!copy) continue;  // the next reload tries again
    impl_->tell("FDSTORE=1\nFDNAME=" + name + "\nFDPOLL=0", std::move(copy));
    impl_->kept[name] = socket.first;
  }
}

void ServiceManager::yieldToSuccessor() {
  if (impl_ == nullptr) return;
  const std::lock_guard lock(impl_->mutex);
  impl_->silent = true;
  impl_->messages.clear();
}

void ServiceManager::stopAsking() {
  if (impl_ == nullptr) return;
  const std::scoped_lock lock(impl_->asking, impl_->mutex);
  impl_->questions = {};
}

}  // namespace lemonade
