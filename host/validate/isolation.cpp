// SPDX-License-Identifier: MIT
#include "validate/isolation.h"

#include "base/fd.h"
#include "base/parent_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>

namespace lemonade::validate {

namespace {

constexpr std::size_t kMostSaid = 200;
constexpr std::size_t kMostTold = 4 << 20;

/// The page that both processes share.
struct Board {
  std::atomic<const char*> stage{"starting"};  // a literal: the fork has it at the same address
  std::atomic<int> status{-1};                 // a Grade, once there is an outcome
  char found[1024];
  char mend[512];
  char progress[128];
  char exception[512];
};

Board* board = nullptr;
int output = -1;  // both standard streams of the child
int told = -1;    // what it tells the parent

template <std::size_t kSize>
void copy(char (&to)[kSize], const char* text) noexcept {
  std::strncpy(to, text, kSize - 1);
  to[kSize - 1] = '\0';
}

void noteException(const char* what) noexcept {
  std::snprintf(board->exception, sizeof(board->exception), "\"%s\" left it while %s%s", what, board->stage.load(),
                board->progress);
}

/// An exception reached a function that is noexcept, on either side of the ABI.
[[noreturn]] void onTerminate() {
  try {
    if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    noteException(e.what());
    ::_exit(1);
  } catch (...) {
    noteException("something that is no std::exception");
    ::_exit(1);
  }
  std::abort();
}

/// No signal ignored or blocked, and no descriptor open that whoever started the parent left so: what a plugin does is
/// to be judged alike wherever it is tried.
void forgetParent() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const auto [first, second] = std::minmax(output, told);
  unsigned from = STDERR_FILENO + 1;
  for (const int kept : {first, second}) {
    const auto fd = static_cast<unsigned>(kept);
    if (from < fd) (void)::close_range(from, fd - 1, 0);
    from = std::max(from, fd + 1);
  }
  (void)::close_range(from, ~0U, 0);
}

void becomeChild(pid_t parent) {
  ::setpgid(0, 0);
  lemonade::endWith(parent, 1);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ::dup2(null.get(), STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  forgetParent();
  std::set_terminate(onTerminate);
}

[[noreturn]] void runChild(pid_t parent, const std::function<Outcome()>& work) {
  becomeChild(parent);
  try {
    const auto outcome = work();
    endWith(outcome.status, outcome.found.c_str(), outcome.mend.c_str());
  } catch (const Fault& fault) {
    endWith(Grade::kFail, fault.found.c_str(), fault.mend.c_str());
  } catch (const std::exception& e) {
    noteException(e.what());
  } catch (...) {
    noteException("something that is no std::exception");
  }
  ::_exit(1);
}

/// False where it still runs after that time.
bool waitFor(pid_t pid, Duration limit) {
  // glibc 2.36 declares pidfd_open without extern "C".
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd ended{pidfd.get(), POLLIN, 0};
  const std::uint64_t deadline = nowNs() + static_cast<std::uint64_t>(limit.count());
  for (;;) {
    const std::uint64_t now = nowNs();
    const auto left = now < deadline ? (deadline - now) / 1'000'000 + 1 : 0;
    const int ready = ::poll(&ended, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (left == 0) return false;
  }
}

std::string contentOf(int fd, std::size_t most) {
  std::string text(most, '\0');
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

std::string firstLines(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  text.resize(std::min(text.size(), kMostSaid));
  return text.empty() ? "" : "; it said: " + text;
}

/// "20 s", "0.3 s".
std::string secondsOf(Duration time) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g s", std::chrono::duration<double>(time).count());
  return text;
}

/// What an author does about a plugin that a signal ended.
const char* mendOf(int signal) {
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
      return "find the access to memory that is not its own: build it with -g and run this under gdb, with \"set "
             "follow-fork-mode child\"";
    case SIGFPE:
      return "look at the divisor before each division of integers, and call no feenableexcept";
    case SIGILL:
      return "build it for the oldest processor that it is to run on; __builtin_unreachable and __builtin_trap end so, "
             "too";
    case SIGABRT:
      return "find out who called abort: an assertion, malloc where memory is broken, or a throw out of a noexcept "
             "function; gdb with \"set follow-fork-mode child\" shows it";
    case SIGKILL:
      return "somebody killed it; where memory ran out, the kernel's log says so: take less";
    default:
      return "raise no signal, and end nothing by one";
  }
}

Outcome judge(bool ended, int status, Duration limit) {
  if (const int known = board->status.load(); known >= 0) return {static_cast<Grade>(known), board->found, board->mend};
  const std::string when = std::string(" while ") + board->stage.load() + board->progress;
  if (!ended)
    return {Grade::kHang, "no end within " + secondsOf(limit) + when,
            "wait for nothing there and end every loop; a slow or busy machine gets more time with --limit"};
  const std::string said = firstLines(writtenSoFar());
  if (WIFEXITED(status))
    return {Grade::kCrash, "it ended the process with code " + std::to_string(WEXITSTATUS(status)) + when + said,
            "call neither exit nor _exit: return a status and fill the error"};
  const char* name = ::sigabbrev_np(WTERMSIG(status));
  return {Grade::kCrash, "SIG" + std::string(name != nullptr ? name : "?") + when + said, mendOf(WTERMSIG(status))};
}

}  // namespace

void stage(const char* what) noexcept {
  if (board != nullptr) board->stage.store(what, std::memory_order_relaxed);
}

void progress(const std::string& text) noexcept {
  if (board != nullptr) copy(board->progress, (" " + text).c_str());
}

std::string writtenSoFar() {
  std::fflush(nullptr);
  return contentOf(output, 4'096);
}

void tell(std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = ::write(told, text.data(), text.size());
    if (done < 0 && errno != EINTR) throw std::runtime_error(std::string("cannot be told: ") + std::strerror(errno));
    text.remove_prefix(done > 0 ? static_cast<std::size_t>(done) : 0);
  }
}

void endWith(Grade status, const char* found, const char* mend) noexcept {
  copy(board->found, found);
  copy(board->mend, mend);
  board->status.store(static_cast<int>(status));
  ::_exit(0);
}

Ending runIsolated(const std::function<Outcome()>& work, Duration limit) {
  void* page = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const Fd memory(::memfd_create("output", MFD_CLOEXEC));
  const Fd telling(::memfd_create("told", MFD_CLOEXEC));
  if (page == MAP_FAILED || !memory || !telling)
    throw std::runtime_error(std::string("no memory for a check: ") + std::strerror(errno));
  board = new (page) Board;
  output = memory.get();
  told = telling.get();
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) runChild(parent, work);
  Ending ending;
  if (pid < 0) {
    ending.outcome =
        fail(std::string("cannot be run: fork: ") + std::strerror(errno), "raise the limit of processes (ulimit -u)");
  } else {
    const bool ended = waitFor(pid, limit);
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);  // in case it has not made its group yet
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    ending.outcome = judge(ended, status, limit);
    ending.exception = board->exception;
    ending.told = contentOf(telling.get(), kMostTold);
  }
  board = nullptr;
  ::munmap(page, sizeof(Board));
  return ending;
}

}  // namespace lemonade::validate
