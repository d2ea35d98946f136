// SPDX-License-Identifier: MIT
//
// Faults that no call can be broken off for: how the process ends, and its last words.
#include "plugin/broken_call.h"
#include "plugin/containment.h"
#include "plugin/guard.h"
#include "plugin/guarded_thread.h"

#include "unit/plugin/guarding.h"

#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

namespace lemonade::plugin {
namespace {

/// How a process ends that does this in a guarded thread, and its last words.
std::pair<int, std::string> endOf(const std::function<void(Guard&)>& deed) {
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(pipe[1], STDERR_FILENO);
    for (const int fault : {SIGSEGV, SIGABRT}) ::signal(fault, SIG_DFL);  // which the test's framework handles
    ::alarm(20);
    Containment::use(true);
    const GuardedThread guarded("test");
    deed(Guard::make({"com.example.evil", "2.0.0", "/plugins/evil.so", 7}, nullptr));
    ::_exit(0);
  }
  ::close(pipe[1]);
  std::string words;
  for (char byte; ::read(pipe[0], &byte, 1) == 1;) words += byte;
  ::close(pipe[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return {WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), words};
}

}  // namespace

TEST_CASE("A fault in no guarded call ends the process with its signal and a line", "[plugin][guard]") {
  const auto [code, words] = endOf([](Guard&) { *opaque(reinterpret_cast<volatile int*>(8)) = 1; });
  CHECK(code == -SIGSEGV);
  CHECK(
      words.find("ERROR plugin: a fault in no call of a plugin ends the process signal=\"SIGSEGV\" thread=\"test\"") !=
      std::string::npos);
  INFO(words);
  const auto where = words.find("ERROR plugin: the thread was at thread=\"test\" backtrace=\"lemonade+0x");
  REQUIRE(where != std::string::npos);
  CHECK(words.find(" < lemonade+0x", where) != std::string::npos);
}

TEST_CASE("A fault in a function of the host ends the process and names the plugin that called it", "[plugin][guard]") {
  const auto [code, words] = endOf([](Guard& guard) {
    (void)guard.call(Function::kPick, [] {
      const HostService service;
      std::abort();
    });
  });
  CHECK(code == -SIGABRT);
  CHECK(words.find("it is in a function of the host, which may hold a lock") != std::string::npos);
  CHECK(words.find("plugin=\"com.example.evil\" version=\"2.0.0\"") != std::string::npos);
}

TEST_CASE("A fault in the allocator ends the process and says why", "[plugin][guard]") {
  if (kAddressSanitizer || kThreadSanitizer) test::skip("a sanitizer has an allocator of its own");
  const auto [code, words] = endOf([](Guard& guard) {
    (void)guard.call(Function::kPick, [] {
      auto* block = static_cast<char*>(std::malloc(5'000));
      std::memset(opaque(block) - 8, 0x7f, 8);  // its size; what is before may be of the block before
      std::free(opaque(block));
    });
  });
  INFO(words);
  CHECK(code < 0);
  CHECK(words.find("it is in the allocator") != std::string::npos);
}

TEST_CASE("Where a plugin has overwritten the way back its fault ends the process and says so", "[plugin][guard]") {
  const auto expect = [](const std::function<void()>& overwrite) {
    const auto [code, words] = endOf([&](Guard& guard) {
      (void)guard.call(Function::kPick, [&] {
        overwrite();
        std::abort();
      });
    });
    INFO(words);
    CHECK(code == -SIGABRT);
    CHECK(words.find("the way back to the host was overwritten") != std::string::npos);
    CHECK(words.find("plugin=\"com.example.evil\" version=\"2.0.0\"") != std::string::npos);
  };
  SECTION("to nowhere") {
    expect([] { t_guard_slot->stack = reinterpret_cast<void*>(16); });
  }
  SECTION("to another thread's stack") {
    static long elsewhere[100];
    expect([] { t_guard_slot->stack = &elsewhere[50]; });
  }
}

TEST_CASE("Where a plugin has overwritten what is on the stack its fault ends the process and names it",
          "[plugin][guard]") {
  skipUnderThreadSanitizer();
  const auto [code, words] = endOf([](Guard& guard) {
    (void)guard.call(
        Function::kPick, []() __attribute__((no_sanitize("address"))) {
          auto* const frame = static_cast<volatile char*>(t_guard_slot->stack.load());
          for (int i = 0; i < 64; ++i) frame[i] = 'A';
          std::abort();
        });
  });
  INFO(words);
  CHECK(code == -SIGSEGV);
  CHECK(words.find("the way back to the host was overwritten") != std::string::npos);
  CHECK(words.find("plugin=\"com.example.evil\" version=\"2.0.0\"") != std::string::npos);
}

TEST_CASE("Where a plugin has overwritten what the host knows of the call its fault ends the process with a line",
          "[plugin][guard]") {
  skipUnderThreadSanitizer();
  const auto expect = [](const std::function<void(GuardSlot&)>& overwrite) {
    const auto [code, words] = endOf([&](Guard& guard) {
      (void)guard.call(Function::kPick, [&] {
        overwrite(*t_guard_slot);
        *opaque(reinterpret_cast<volatile int*>(8)) = 1;
      });
    });
    INFO(words);
    CHECK(code == -SIGSEGV);
    CHECK(words.find("ends the process signal=\"SIGSEGV\"") != std::string::npos);
  };
  SECTION("the guard, by the address of something else") {
    static long something[100];
    expect([](GuardSlot& slot) { slot.guard = reinterpret_cast<Guard*>(something); });
  }
  SECTION("the guard, by no address") {
    expect([](GuardSlot& slot) { slot.guard = reinterpret_cast<Guard*>(0x4141414141414141); });
  }
  SECTION("where a look at the frames comes back to") {
    expect([](GuardSlot& slot) {
      slot.guard = nullptr;
      slot.trace_stack = reinterpret_cast<void*>(0x4141414141414141);
    });
  }
  SECTION("everything") {
    expect([](GuardSlot& slot) { std::memset(static_cast<void*>(&slot), 'A', sizeof(slot)); });
  }
}

TEST_CASE("Without containment a fault ends the process", "[plugin][guard]") {
  const auto [code, words] = endOf([](Guard& guard) {
    Containment::use(false);
    (void)guard.call(Function::kPick, [] { std::abort(); });
  });
  CHECK(code == -SIGABRT);
}

}  // namespace lemonade::plugin
