// SPDX-License-Identifier: MIT
//
// What a dead process left in the memory that it shared is read by another one.
#include "supervisor/last_moments.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include <algorithm>

namespace lemonade::supervisor {
namespace {

constexpr std::uint8_t kPick = 6;

Fd duplicateOf(const TraceMemory& memory) { return Fd(::fcntl(memory.fd(), F_DUPFD_CLOEXEC, 0)); }

/// Has a process of its own do something with the memory and then die by SIGKILL.
template <class Body>
LastMoments momentsOf(const Body& body) {
  const auto memory = TraceMemory::make();
  REQUIRE(memory.fd() >= 0);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    if (fault_trace::use(duplicateOf(memory))) body();
    (void)::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFSIGNALED(status));
  return memory.read();
}

}  // namespace

TEST_CASE("Of a process that was killed is known which plugins its threads were inside") {
  const auto moments = momentsOf([] {
    fault_trace::nameFunction(kPick, "pick");
    static const TracedPlugin good("com.example.good", "1.0.0", "aaaa", "/plugins/good.so");
    static const TracedPlugin bad("com.example.bad", "2.1.0", "bbbb", "/plugins/bad.so");
    static TracedThread control("control"), worker("worker 1");
    control.enter(fault_trace::insideOf(good.number(), kPick));
    control.leave();
    worker.enter(fault_trace::insideOf(bad.number(), kPick));
    (void)::raise(SIGKILL);
  });
  CHECK_FALSE(moments.fault);
  REQUIRE(moments.running.size() == 1);
  const auto& call = moments.running[0];
  CHECK(call.id == "com.example.bad");
  CHECK(call.version == "2.1.0");
  CHECK(call.hash == "bbbb");
  CHECK(call.file == "/plugins/bad.so");
  CHECK(call.function == "pick");
  CHECK(call.thread == "worker 1");
}

TEST_CASE("The first fault that a process tells of is the one that is known") {
  const auto moments = momentsOf([] {
    fault_trace::nameFunction(kPick, "pick");
    const TracedPlugin bad("com.example.bad", "2.1.0", "bbbb", "/plugins/bad.so");
    const auto inside = fault_trace::insideOf(bad.number(), kPick);
    fault_trace::tellFatal({inside, SIGSEGV, true, 0x1234, "worker 1", "in memory allocation"});
    fault_trace::tellFatal({0, SIGABRT, false, 0, "control", ""});
    (void)::raise(SIGKILL);
  });
  REQUIRE(moments.fault);
  REQUIRE(moments.fault->call);
  CHECK(moments.fault->call->id == "com.example.bad");
  CHECK(moments.fault->call->function == "pick");
  CHECK(moments.fault->call->thread == "worker 1");
  CHECK(moments.fault->signal == SIGSEGV);
  CHECK(moments.fault->offset == 0x1234);
  CHECK(moments.fault->note == "in memory allocation");
}

TEST_CASE("A plugin that is gone leaves its row to the next and two of one content share one") {
  const auto moments = momentsOf([] {
    static TracedThread thread("control");
    for (std::size_t i = 0; i < 2 * fault_trace::Page::kMostPlugins; ++i)
      if (const TracedPlugin one("com.example.one", "1.0.0", std::to_string(i), "one.so"); one.number() == 0) return;
    static const TracedPlugin last("com.example.last", "1.0.0", "cccc", "last.so");
    static const TracedPlugin again("com.example.last", "1.0.0", "cccc", "last.so");
    if (last.number() == again.number()) thread.enter(fault_trace::insideOf(last.number(), kPick));
    (void)::raise(SIGKILL);
  });
  REQUIRE(moments.running.size() == 1);
  CHECK(moments.running[0].id == "com.example.last");
  CHECK(moments.running[0].function == "function 6");  // the process has not named it
}

TEST_CASE("Nothing is known of a process that did not use the memory or wrote garbage over it") {
  const auto memory = TraceMemory::make();
  CHECK(memory.read().running.empty());
  std::string garbage(sizeof(fault_trace::Page), '\xff');
  std::copy(fault_trace::Page::kMagic.begin(), fault_trace::Page::kMagic.end(), garbage.begin());
  garbage[fault_trace::Page::kMagic.size()] = '\0';
  REQUIRE(::pwrite(memory.fd(), garbage.data(), garbage.size(), 0) == static_cast<ssize_t>(garbage.size()));
  CHECK(memory.read().running.empty());
  CHECK_FALSE(memory.read().fault);
  REQUIRE(::ftruncate(memory.fd(), 100) == 0);
  CHECK(memory.read().running.empty());
}

TEST_CASE("Memory that is too small is not used") {
  const auto memory = TraceMemory::make();
  REQUIRE(::ftruncate(memory.fd(), 100) == 0);
  CHECK_FALSE(fault_trace::use(duplicateOf(memory)));
  CHECK_FALSE(fault_trace::use(Fd()));
}

}  // namespace lemonade::supervisor
