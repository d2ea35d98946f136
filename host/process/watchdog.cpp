// SPDX-License-Identifier: MIT
#include "process/watchdog.h"

#include "base/fd.h"
#include "base/log.h"
#include "process/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace lemonade {

namespace {

using namespace std::chrono_literals;

constexpr Duration kLastMoment = 250ms;   // what a second signal leaves to whatever is under way
constexpr Duration kTellingTime = 200ms;  // what the last words may take
constexpr Duration kMargin = 500ms;       // of planned()

constexpr std::uint64_t bitOf(int signal) noexcept { return std::uint64_t{1} << (signal - 1); }
constexpr std::uint64_t kKeptEarly = bitOf(SIGHUP) | bitOf(SIGUSR1);

std::uint64_t later(std::uint64_t now_ns, Duration time) noexcept {
  return now_ns + static_cast<std::uint64_t>(std::max(time, Duration::zero()).count());
}

/// Waits until one of them is readable, until deadline_ns (0: for ever).
void waitFor(std::initializer_list<int> fds, std::uint64_t deadline_ns) noexcept {
  pollfd entries[2];
  nfds_t count = 0;
  for (const int fd : fds) entries[count++] = {fd, POLLIN, 0};
  const std::uint64_t now = nowNs();
  const std::uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
  const timespec time{static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
  (void)::ppoll(entries, count, deadline_ns == 0 ? nullptr : &time, nullptr);
}

/// A thread that nothing of ours waits for.
template <class Run>
void startThread(const char* name, Run run) {
  std::thread([name, run] {
    (void)::pthread_setname_np(::pthread_self(), name);
    run();
  }).detach();
}

}  // namespace

struct Watchdog::Impl {
  enum class Phase { kEarly, kServing, kEnding, kLeaving };
  enum class Words : int { kNone, kEarly, kForced };

  explicit Impl(Plan chosen) : plan(std::move(chosen)), bound_ns(plan.bound.count()), code(plan.early_code) {}

  // Constant after construction.
  const Plan plan;
  Signals signals;
  const Fd told = ownedFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");  // wakes the watchdog

  // Any thread.
  std::atomic<Phase> phase{Phase::kEarly};
  std::atomic<Duration::rep> bound_ns;
  std::atomic<int> code;
  std::atomic<const char*> waiting_for{"its start"};
  std::atomic<std::uint64_t> noted{0};  // bit n - 1: signal n came
  std::atomic<Words> words{Words::kNone};
  std::atomic<std::uint32_t> came{0};  // changes when there is something to say or to pass on

  // The watchdog's own.
  std::uint64_t deadline_ns = 0;  // 0: none
  bool stop_asked = false;

  std::mutex mutex;  // guards on_signal; never the watchdog's
  OnSignal on_signal;

  void bringForward(Duration time) noexcept;
  void handle(int signal) noexcept;
  void watch() noexcept;
  [[noreturn]] void endProcess() noexcept;
  void wakeWatchdog() const noexcept { (void)::eventfd_write(told.get(), 1); }

  void note(int signal) noexcept;
  void wakeSpeaker() noexcept;
  void speak();
  void answer(int signal) noexcept;
  void sayLastWords(Words which);
};

void Watchdog::Impl::bringForward(Duration time) noexcept {
  const std::uint64_t due = later(nowNs(), time);
  if (deadline_ns == 0 || due < deadline_ns) deadline_ns = due;
}

void Watchdog::Impl::handle(int signal) noexcept {
  const auto meaning = meaningOf(signal);
  const bool stops = meaning == Meaning::kStop || (meaning == Meaning::kReload && !plan.reloads);
  if (!stops) return note(signal);
  switch (phase.load()) {
    case Phase::kEarly:
      return bringForward(Duration::zero());
    case Phase::kServing:
      bringForward(std::exchange(stop_asked, true) ? kLastMoment : Duration(bound_ns.load()));
      return note(signal);
    case Phase::kEnding:
    case Phase::kLeaving:
      return bringForward(std::exchange(stop_asked, true) ? kLastMoment : Duration(bound_ns.load()));
  }
}

void Watchdog::Impl::watch() noexcept {
  for (;;) {
    waitFor({signals.fd(), told.get()}, deadline_ns);
    eventfd_t ignored;
    (void)::eventfd_read(told.get(), &ignored);
    if (phase.load() >= Phase::kEnding) bringForward(Duration(bound_ns.load()));
    while (const auto signal = signals.next()) handle(*signal);
    if (deadline_ns != 0 && nowNs() >= deadline_ns) endProcess();
  }
}

void Watchdog::Impl::endProcess() noexcept {
  const auto now = phase.load();
  if (now != Phase::kLeaving) {
    words.store(now == Phase::kEarly ? Words::kEarly : Words::kForced);
    wakeSpeaker();
    waitFor({told.get()}, later(nowNs(), kTellingTime));
  }
  ::_exit(code.load());
}

void Watchdog::Impl::note(int signal) noexcept {
  noted.fetch_or(bitOf(signal));
  wakeSpeaker();
}

void Watchdog::Impl::wakeSpeaker() noexcept {
  came.fetch_add(1);
  came.notify_one();
}

void Watchdog::Impl::speak() {
  for (std::uint32_t seen = 0;; came.wait(seen)) {
    seen = came.load();
    // Before there is anybody to reload or to open files anew these wait; serve() looks again.
    const std::uint64_t kept = phase.load() == Phase::kEarly ? kKeptEarly : 0;
    const std::uint64_t bits = noted.fetch_and(kept) & ~kept;
    for (int signal = 1; signal <= 64; ++signal)
      if ((bits & bitOf(signal)) != 0) answer(signal);
    if (const auto which = words.load(); which != Words::kNone) {
      sayLastWords(which);
      wakeWatchdog();
      return;
    }
  }
}

// Where there is no memory to hand a signal on it is tried again; the watchdog bounds how long that matters.
void Watchdog::Impl::answer(int signal) noexcept try {
  if (phase.load() == Phase::kLeaving) return;
  const Meaning meaning = meaningOf(signal);
  if (meaning == Meaning::kNothing || (meaning == Meaning::kReopen && !plan.reloads)) {
    if (plan.reloads && signal == SIGUSR2)
      return log::warning("app",
                          "an upgrade is asked of the supervisor; without one stop and start, or set "
                          "runtime.supervisor to \"on\"",
                          {{"signal", nameOf(signal)}});
    log::warning("app",
                 plan.reloads ? "a signal came that does nothing; SIGTERM, SIGINT and SIGQUIT stop, SIGHUP reloads, "
                                "SIGUSR1 opens log files anew"
                              : "a signal came that does nothing; SIGTERM, SIGINT, SIGQUIT and SIGHUP stop",
                 {{"signal", nameOf(signal)}});
    return;
  }
  const std::lock_guard lock(mutex);
  if (on_signal) on_signal(signal);
} catch (const std::bad_alloc&) {
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  noted.fetch_or(bitOf(signal));
  wakeSpeaker();
}

void Watchdog::Impl::sayLastWords(Words which) {
  if (which == Words::kEarly)
    log::warning("app", "stopped before it was ready");
  else
    log::warning("app", "the stop is cut short, what is left is ended without waiting",
                 {{"waited_for", waiting_for.load()}});
  try {
    if (plan.farewell) plan.farewell();
  } catch (const std::exception& error) {
    log::error("app", "the last steps of the stop failed", {{"error", error.what()}});
  }
  log::stop();
}

Watchdog& Watchdog::start(Plan plan) {
  static auto& impl = *new Impl(std::move(plan));
  static Watchdog watchdog(impl);
  startThread("watchdog", [] { impl.watch(); });
  startThread("signals", [] { impl.speak(); });
  return watchdog;
}

void Watchdog::serve(OnSignal on_signal) {
  {
    const std::lock_guard lock(impl_.mutex);
    impl_.on_signal = std::move(on_signal);
  }
  waitingFor("the end of the sessions");
  impl_.code.store(0);
  impl_.phase.store(Impl::Phase::kServing);
  impl_.wakeSpeaker();
}

void Watchdog::setBound(Duration bound) noexcept { impl_.bound_ns.store(bound.count()); }

void Watchdog::waitingFor(const char* what) noexcept { impl_.waiting_for.store(what); }

void Watchdog::end(int code) {
  impl_.code.store(code);
  impl_.phase.store(Impl::Phase::kEnding);
  impl_.wakeWatchdog();
  const std::lock_guard lock(impl_.mutex);
  impl_.on_signal = nullptr;
}

int Watchdog::leave(int code) {
  impl_.code.store(code);
  impl_.phase.store(Impl::Phase::kLeaving);
  impl_.wakeWatchdog();
  return code;
}

Duration Watchdog::planned(Duration bound) noexcept { return bound - std::min(bound / 10, kMargin); }

}  // namespace lemonade
