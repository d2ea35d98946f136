// SPDX-License-Identifier: MIT
#include "plugin/process_state.h"

#include "base/fd.h"

#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <functional>
#include <latch>
#include <string>
#include <thread>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

using namespace lemonade;
using namespace lemonade::plugin;
using Catch::Contains;

namespace {

constexpr Moment kMoments[] = {Moment::kLoaded, Moment::kCreated, Moment::kCalled, Moment::kEnded};

/// What is found to have changed by `change`, after which `back` undoes it.
std::string found(const std::function<void()>& change, const std::function<void()>& back,
                  Moment moment = Moment::kCalled) {
  const auto before = ProcessState::now();
  change();
  const auto after = ProcessState::now();
  back();
  const auto changed = before.changeIn(after, {moment, true, {}});
  if (!changed) return "";
  CHECK(changed->mend != "");
  return changed->text;
}

}  // namespace

TEST_CASE("Nothing has changed where nothing was done", "[plugin]") {
  for (const auto moment : kMoments) CHECK(found([] {}, [] {}, moment) == "");
}

TEST_CASE("What belongs to the process is told by name, with what it was and what it is", "[plugin]") {
  const auto folder = std::filesystem::current_path().string();
  CHECK(found([] { std::filesystem::current_path("/"); }, [&] { std::filesystem::current_path(folder); }) ==
        "changes the working directory from " + folder + " to / in a call");
  mode_t mask = 0;
  CHECK_THAT(found([&] { mask = ::umask(0123); }, [&] { ::umask(mask); }),
             Contains("changes the umask from") && Contains("to 0123 in a call"));
  CHECK_THAT(found([] { ::setlocale(LC_ALL, "C.UTF-8"); }, [] { ::setlocale(LC_ALL, "C"); }),
             Contains("changes the locale from C to C.UTF-8"));
  rlimit limit{};
  ::getrlimit(RLIMIT_CORE, &limit);
  rlimit lower{limit.rlim_cur == 0 ? 1UL : 0UL, limit.rlim_max};
  if (lower.rlim_cur <= lower.rlim_max)
    CHECK_THAT(found([&] { ::setrlimit(RLIMIT_CORE, &lower); }, [&] { ::setrlimit(RLIMIT_CORE, &limit); }),
               Contains("changes the limit of core dumps from"));
  CHECK_THAT(found([] { ::alarm(1'000); }, [] { ::alarm(0); }),
             Contains("changes the timer of real time from off to running"));
}

TEST_CASE("Names of the environment are told and not their values", "[plugin]") {
  const auto text = found([] { ::setenv("LEMONADE_TEST_STATE", "secret", 1); },
                          [] { ::unsetenv("LEMONADE_TEST_STATE"); }, Moment::kCreated);
  CHECK(text == "changes the environment: LEMONADE_TEST_STATE when an instance is created");
}

TEST_CASE("Signals that are handled, ignored or blocked are told by name", "[plugin]") {
  const auto restore = [] { ::signal(SIGUSR2, SIG_DFL); };
  ::signal(SIGUSR2, SIG_DFL);
  CHECK_THAT(found([] { ::signal(SIGUSR2, [](int) {}); }, restore), Contains("installs a signal handler for SIGUSR2"));
  CHECK_THAT(found([] { ::signal(SIGUSR2, SIG_IGN); }, restore), Contains("ignores SIGUSR2"));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK_THAT(found([&] { ::pthread_sigmask(SIG_BLOCK, &set, nullptr); },
                   [&] { ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr); }),
             Contains("changes the signals that the thread blocks from") && Contains("SIGUSR2"));
}

TEST_CASE("What controls floating-point numbers is told by what it does", "[plugin]") {
  CHECK_THAT(found([] { ::fesetround(FE_UPWARD); }, [] { ::fesetround(FE_TONEAREST); }),
             Contains("changes how floating-point numbers are rounded"));
#if defined(__x86_64__)
  CHECK_THAT(found([] { ::feenableexcept(FE_OVERFLOW); }, [] { ::fedisableexcept(FE_OVERFLOW); }),
             Contains("makes floating-point exceptions raise SIGFPE"));
  const auto control = _mm_getcsr();
  for (const unsigned flag : {0x8000U, 0x0040U})
    CHECK_THAT(found([&] { _mm_setcsr(control | flag); }, [&] { _mm_setcsr(control); }),
               Contains("makes the smallest floating-point numbers zero"));
  CHECK(found([&] { _mm_setcsr(control | 0x1f); }, [&] { _mm_setcsr(control); }) == "");  // these only report
#endif
}

TEST_CASE("Descriptors of the host are not to be closed, replaced or changed", "[plugin]") {
  Fd host(::eventfd(0, EFD_CLOEXEC));
  const int number = host.get();
  const Fd spare(::fcntl(number, F_DUPFD_CLOEXEC, 0));
  const auto name = std::to_string(number) + " (anon_inode:[eventfd])";
  const auto restore = [&] { ::dup3(spare.get(), number, O_CLOEXEC); };
  CHECK_THAT(found([&] { ::close(number); }, restore), Contains("closes or replaces descriptors of the host: " + name));
  const Fd other(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK_THAT(found([&] { ::dup2(other.get(), number); }, restore), Contains("closes or replaces descriptors"));
  CHECK_THAT(found([&] { ::fcntl(number, F_SETFL, O_NONBLOCK); }, [&] { ::fcntl(number, F_SETFL, 0); }),
             Contains("changes the flags of descriptors of the host: " + name));
}

TEST_CASE("A plugin may open descriptors once it is created, and not when it is loaded", "[plugin]") {
  for (const auto moment : kMoments) {
    Fd opened;
    const auto text = found([&] { opened = Fd(::eventfd(0, EFD_CLOEXEC)); }, [&] { opened.reset(); }, moment);
    CHECK((text != "") == (moment == Moment::kLoaded));
  }
}

TEST_CASE("The host's own copy of a plugin is no descriptor that the plugin leaves open", "[plugin]") {
  const auto before = ProcessState::now();
  const Fd copy(::memfd_create("com.example.one", MFD_CLOEXEC));
  const auto after = ProcessState::now();
  CHECK_FALSE(before.changeIn(after, {Moment::kLoaded, true, "com.example.one"}));
  CHECK(before.changeIn(after, {Moment::kLoaded, true, "com.example.on"}));
}

TEST_CASE("A plugin may have threads while an instance lives, and later where it is not unmapped", "[plugin]") {
  std::latch end{1};
  const auto before = ProcessState::now();
  std::thread thread([&] { end.wait(); });
  const auto after = ProcessState::now();
  const auto changed = [&](Moment moment, bool unload_safe) {
    const auto change = before.changeIn(after, {moment, unload_safe, {}});
    return change ? change->text : "";
  };
  CHECK(changed(Moment::kLoaded, false) == "starts a thread when it is loaded");
  CHECK(changed(Moment::kCreated, true) == "");
  CHECK(changed(Moment::kCalled, true) == "");
  CHECK(changed(Moment::kEnded, false) == "");
  CHECK_THAT(changed(Moment::kEnded, true), Contains("leaves a thread running"));
  end.count_down();
  thread.join();
  CHECK_FALSE(before.changeIn(ProcessState::afterEnd(before, false), {Moment::kEnded, true, {}}));
}

TEST_CASE("A child process is not to outlive the last instance, not even as a zombie", "[plugin]") {
  pid_t child = 0;
  const auto start = [&] {
    child = ::fork();
    if (child == 0) ::_exit(0);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  };
  const auto reap = [&] { ::waitpid(child, nullptr, 0); };
  CHECK(found(start, reap, Moment::kLoaded) == "starts a child process when it is loaded");
  CHECK(found(start, reap, Moment::kCalled) == "");
  CHECK(found(start, reap, Moment::kEnded) == "leaves a child process when an instance is destroyed");
}

TEST_CASE("Several changes are told together, each with its mend", "[plugin]") {
  const auto before = ProcessState::now();
  ::setenv("LEMONADE_TEST_STATE", "1", 1);
  const auto mask = ::umask(0123);
  const auto after = ProcessState::now();
  ::umask(mask);
  ::unsetenv("LEMONADE_TEST_STATE");
  const auto changed = before.changeIn(after, {Moment::kLoaded, true, {}});
  REQUIRE(changed);
  CHECK_THAT(changed->text, Contains("changes the umask") && Contains("; it changes the environment"));
  CHECK_THAT(changed->mend, Contains("fchmod") && Contains("; leave the environment alone"));
}
