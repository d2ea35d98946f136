// SPDX-License-Identifier: MIT
//
// Whatever a call of a plugin does, its thread comes back, with what it had before.
#include "plugin/guard.h"

#include "base/log.h"
#include "plugin/broken_call.h"
#include "plugin/call_watch.h"
#include "plugin/containment.h"
#include "plugin/guarded_thread.h"

#include "support/deadline.h"
#include "unit/plugin/guarding.h"

#include <catch2/catch.hpp>

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace lemonade::plugin {
namespace {

using namespace std::chrono_literals;

/// Contains what the test does on its own thread, and keeps what was broken off.
class Contained {
 public:
  explicit Contained(Duration limit = 200ms) {
    GuardedThread::takeLeft([](const Fault&, const std::string&) {});  // of the test before
    Containment::use(true);
    thread_.emplace("test");
    watch_.setLimit(limit);
    watch_.tell([this](const Fault& fault, const std::string& thread) {
      const std::lock_guard lock(mutex_);
      calls_.push_back(describe(fault, thread));
    });
  }
  ~Contained() {
    watch_.tell(nullptr);
    thread_.reset();
    Containment::use(false);
  }

  Guard& guard() { return guard_; }
  CallWatch& watch() { return watch_; }

  /// The first that was broken off; waits for it.
  BrokenCall first() {
    REQUIRE(test::eventually([this] {
      const std::lock_guard lock(mutex_);
      return !calls_.empty();
    }));
    const std::lock_guard lock(mutex_);
    return calls_.front();
  }

  /// Expects that the call is broken off for this reason, and that later ones are not made at all.
  BrokenCall expectBroken(FaultKind kind, const std::function<void()>& misdeed) {
    CHECK_FALSE(guard_.call(Function::kPick, [&] { misdeed(); }));
    CHECK(guard_.broken());
    CHECK(guard_.why() == kind);
    bool called = false;
    CHECK_FALSE(guard_.call(Function::kEvent, [&] { called = true; }));
    CHECK_FALSE(called);
    const auto call = first();
    CHECK(call.kind == kind);
    CHECK(call.function == Function::kPick);
    CHECK(call.thread == "test");
    CHECK(call.info.version == "2.0.0");
    return call;
  }

 private:
  Guard& guard_ = Guard::make({"com.example.evil", "2.0.0", "/plugins/evil.so", 7}, nullptr);
  std::optional<GuardedThread> thread_;
  CallWatch watch_;
  std::mutex mutex_;  // guards calls_
  std::vector<BrokenCall> calls_;
};

[[noreturn]] void spin() {
  for (volatile bool on = true; on;) {
  }
  std::abort();
}

int recurse(int depth) {
  volatile char room[4'096];
  room[0] = static_cast<char>(depth);
  return depth < opaque(1 << 30) ? recurse(depth + 1) + room[0] : 0;
}

void fail() { throw std::runtime_error("no reason"); }
void throwOut() noexcept { fail(); }

}  // namespace

TEST_CASE("A guarded call that comes back has done what it does", "[plugin][guard]") {
  Contained contained;
  int value = 0;
  CHECK(contained.guard().call(Function::kPick, [&] { value = 7; }));
  CHECK(value == 7);
  CHECK_FALSE(contained.guard().broken());
  CHECK(contained.guard().why() == FaultKind::kNone);
}

TEST_CASE("A guarded call within a guarded call is broken off alone", "[plugin][guard]") {
  skipUnderThreadSanitizer();
  Contained contained;
  Guard outer;
  bool went_on = false;
  CHECK(outer.call(Function::kPrepare, [&] {
    CHECK_FALSE(contained.guard().call(Function::kPick, [] { std::abort(); }));
    went_on = true;
  }));
  CHECK(went_on);
  CHECK_FALSE(outer.broken());
}

TEST_CASE("A write to address 8 is broken off and named with its address", "[plugin][guard]") {
  Contained contained;
  const auto call = contained.expectBroken(FaultKind::kSegv, [] { *opaque(reinterpret_cast<volatile int*>(8)) = 1; });
  CHECK(call.what == "SIGSEGV at 0x8");
  CHECK_FALSE(call.backtrace.empty());
}

TEST_CASE("A jump to nowhere is broken off", "[plugin][guard]") {
  skipUnderThreadSanitizer();
  Contained contained;
  contained.expectBroken(FaultKind::kSegv, [] { opaque(reinterpret_cast<void (*)()>(16))(); });
}

TEST_CASE("abort is broken off, as often as it comes", "[plugin][guard]") {
  skipUnderThreadSanitizer();
  Contained contained;
  CHECK(contained.expectBroken(FaultKind::kAbort, [] { std::abort(); }).what == "SIGABRT");
  for (int i = 0; i < 3; ++i) {
    Guard& another = Guard::make({}, nullptr);
    CHECK_FALSE(another.call(Function::kEvent, [] { std::abort(); }));
  }
}

TEST_CASE("An exception that leaves a noexcept function is broken off and named", "[plugin][guard]") {
  Contained contained;
  CHECK(contained.expectBroken(FaultKind::kException, throwOut).what == "exception std::runtime_error");
  Guard& another = Guard::make({}, nullptr);
  CHECK_FALSE(another.call(Function::kEvent, [] { throwOut(); }));
  // The host's own exceptions are what they were.
  CHECK_THROWS_AS(throw std::logic_error("ours"), std::logic_error);
}

TEST_CASE("An exception that nobody stops is broken off at the guard", "[plugin][guard]") {
  Contained contained;
  CHECK(contained.expectBroken(FaultKind::kException, [] { throw 7; }).what == "exception int");
}

TEST_CASE("exit and its like are broken off", "[plugin][guard]") {
  Contained contained;
  const auto expect = [&](const char* name, const std::function<void()>& end) {
    CHECK(contained.expectBroken(FaultKind::kExit, end).what == std::string(name) + "()");
  };
  SECTION("exit") {
    expect("exit", [] { std::exit(0); });
  }
  SECTION("_exit") {
    expect("_exit", [] { ::_exit(0); });
  }
  SECTION("_Exit") {
    expect("_Exit", [] { std::_Exit(0); });
  }
  SECTION("quick_exit") {
    expect("quick_exit", [] { std::quick_exit(0); });
  }
}

TEST_CASE("A division by zero is broken off", "[plugin][guard]") {
  Contained contained;
  contained.expectBroken(
      FaultKind::kFpe, []() __attribute__((no_sanitize("undefined"))) { (void)opaque(opaque(1) / opaque(0)); });
}

TEST_CASE("An illegal instruction is broken off", "[plugin][guard]") {
  Contained contained;
  contained.expectBroken(FaultKind::kIll, [] { asm volatile("ud2"); });
}

TEST_CASE("A recursion without end is broken off", "[plugin][guard]") {
  if (kAddressSanitizer) test::skip("AddressSanitizer ends the process for a stack that overflows");
  if (kThreadSanitizer) test::skip("ThreadSanitizer keeps a stack of its own, which nobody gives back");
  Contained contained;
  contained.expectBroken(FaultKind::kSegv, [] { (void)recurse(0); });
  Guard& another = Guard::make({}, nullptr);
  CHECK_FALSE(another.call(Function::kEvent, [] { (void)recurse(0); }));
}

TEST_CASE("A call that does not come back is broken off once it is over the limit", "[plugin][guard][hang]") {
  if (kThreadSanitizer) test::skip("ThreadSanitizer puts signals off");
  Contained contained;
  const auto expect = [&](const std::function<void()>& hang) {
    const auto call = contained.expectBroken(FaultKind::kHang, hang);
    CHECK(call.what.starts_with("hang, after "));
  };
  SECTION("a loop") { expect(spin); }
  SECTION("a pause") {
    expect([] {
      for (;;) ::pause();
    });
  }
  SECTION("a deadlock") {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    expect([] {
      for (;;) ::pthread_mutex_lock(&mutex);
    });
  }
  SECTION("a loop that allocates") {
    lookForLeaks(false);  // what is held when the call is broken off is lost
    expect([] {
      for (;;) std::free(opaque(std::malloc(100)));
    });
    lookForLeaks(true);
    std::free(std::malloc(100));  // which would wait for ever for a lock that was left
  }
}

TEST_CASE("A slow call is told of while it runs and left alone below the limit", "[plugin][guard][hang]") {
  Contained contained(1h);
  std::vector<CallWatch::SlowCall> seen;
  CHECK(contained.guard().call(Function::kPrepare, [&] {
    REQUIRE(test::eventually([&] { return !(seen = contained.watch().slowCalls()).empty(); }));
  }));
  CHECK(seen[0].info.id == "com.example.evil");
  CHECK(seen[0].function == Function::kPrepare);
  CHECK(seen[0].thread == "test");
  CHECK(seen[0].lasted_ns >= 100'000'000);
  CHECK(contained.watch().counts() ==
        std::map<CallWatch::Which, std::uint64_t>{{{"com.example.evil", Function::kPrepare}, 1}});
  CHECK(test::eventually([&] { return contained.watch().slowCalls().empty(); }));
}

TEST_CASE("Many calls in a row are no slow call", "[plugin][guard][hang]") {
  Contained contained(50ms);
  const auto until = std::chrono::steady_clock::now() + 400ms;
  while (std::chrono::steady_clock::now() < until) REQUIRE(contained.guard().call(Function::kPick, [] {}));
  CHECK(contained.watch().counts().empty());
}

TEST_CASE("A thread comes back with its own arithmetic and its own mask of signals", "[plugin][guard]") {
  skipUnderThreadSanitizer();
  Contained contained;
  sigset_t before, after;
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &before) == 0);
  const bool by_signal = GENERATE(true, false);
  CHECK_FALSE(contained.guard().call(Function::kPick, [&] {
    sigset_t all;
    ::sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGABRT}) ::sigdelset(&all, fault);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    ::fesetround(FE_UPWARD);
    if (by_signal) std::abort();
    ::_exit(0);
  }));
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &after) == 0);
  for (int signal = 1; signal <= SIGRTMAX; ++signal)
    CHECK(::sigismember(&before, signal) == ::sigismember(&after, signal));
  CHECK(::fegetround() == FE_TONEAREST);
  CHECK(opaque(1.0) / opaque(3.0) == 1.0 / 3.0);
}

TEST_CASE("A floating point exception that a plugin has asked for is broken off and asked for no more",
          "[plugin][guard]") {
  Contained contained;
  contained.expectBroken(FaultKind::kFpe, [] {
    ::feenableexcept(FE_DIVBYZERO);
    (void)opaque(opaque(1.0) / opaque(0.0));
  });
  CHECK(::fegetexcept() == 0);
  CHECK(opaque(1.0) / opaque(0.0) > 1e300);
}

TEST_CASE("Floating point exceptions that a plugin has left to raise signals are taken back and it is named",
          "[plugin][guard]") {
  Contained contained;
  CHECK(contained.guard().call(Function::kPick, [] { ::feenableexcept(FE_DIVBYZERO | FE_INVALID); }));
  CHECK(opaque(1.0) / opaque(0.0) > 1e300);  // the host's own
  CHECK(::fegetexcept() == 0);
  CHECK(contained.guard().broken());
  const auto call = contained.first();
  CHECK(call.kind == FaultKind::kFpe);
  CHECK(call.function == Function::kPick);
  CHECK(call.what == "SIGFPE: it has floating-point exceptions raise a signal when it has returned");
  Guard& another = Guard::make({}, nullptr);
  CHECK(another.call(Function::kPick, [] { (void)(opaque(1.0) / opaque(0.0)); }));
}

TEST_CASE("Threads that fault in one instance at once all come back", "[plugin][guard]") {
  skipUnderThreadSanitizer();
  Contained contained;
  std::atomic<int> inside{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      const GuardedThread guarded("another");
      CHECK_FALSE(contained.guard().call(Function::kPick, [&] {
        ++inside;
        while (inside < 4) std::this_thread::yield();
        std::abort();
      }));
    });
  for (auto& thread : threads) thread.join();
  CHECK(contained.first().kind == FaultKind::kAbort);
}

TEST_CASE("A child that a plugin forks does not go on as the host", "[plugin][guard]") {
  Contained contained;
  int status = -1;
  CHECK(contained.guard().call(Function::kPick, [&] {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(7);
    ::waitpid(child, &status, 0);
  }));
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

}  // namespace lemonade::plugin
