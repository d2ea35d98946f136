// SPDX-License-Identifier: MIT
#include "rehearsal/child.h"

#include "base/read_write.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace lemonade::trial {

namespace {

Error failure(const char* what) { return {std::string(what) + ": " + std::strerror(errno)}; }

/// posix_spawn's actions and attributes, released with it.
class SpawnPlan {
 public:
  SpawnPlan() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

}  // namespace

// As a plugin's file has to be: nobody has it open for writing any more, or who reads it would wait for the writer.
Result<Fd> inMemory(const char* name, const void* data, std::size_t size) {
  const Fd written(::memfd_create(name, MFD_CLOEXEC));
  if (!written) return failure("memfd_create");
  if (!writeAll(written.get(), data, size)) return failure("write");
  if (::fchmod(written.get(), 0400) != 0) return failure("memfd");
  Fd fd(::open(("/proc/self/fd/" + std::to_string(written.get())).c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? Result<Fd>(std::move(fd)) : failure("open of a memfd");
}

Result<Fd> emptyInMemory(const char* name) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC));
  return fd ? Result<Fd>(std::move(fd)) : failure("memfd_create");
}

std::string contentOf(const Fd& file) {
  (void)::lseek(file.get(), 0, SEEK_SET);
  return readToEnd(file.get());
}

Result<Pipe> makePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return failure("pipe2");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<Child> Child::spawn(const std::vector<std::string>& arguments, std::initializer_list<int> descriptors) {
  const int count = static_cast<int>(descriptors.size());
  SpawnPlan plan;
  std::vector<Fd> moved;
  int number = 0;
  for (int fd : descriptors) {
    // Out of the way of the numbers they are to get, or one would overwrite another.
    if (fd < count) fd = moved.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, count)).get();
    if (fd < 0) return failure("fcntl");
    ::posix_spawn_file_actions_adddup2(&plan.actions, fd, number++);
  }
  ::posix_spawn_file_actions_addclosefrom_np(&plan.actions, count);
  // A group of its own: a Ctrl-C at the terminal is not for it. Signals as a fresh process has them.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&plan.attributes, &none);
  ::posix_spawnattr_setsigdefault(&plan.attributes, &all);
  ::posix_spawnattr_setpgroup(&plan.attributes, 0);
  ::posix_spawnattr_setflags(&plan.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> words{"lemonade"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t pid = -1;
  if (const int error =
          ::posix_spawn(&pid, "/proc/self/exe", &plan.actions, &plan.attributes, pointers.data(), environ))
    return Error{std::string("posix_spawn of /proc/self/exe: ") + std::strerror(error)};
  return Child(pid);
}

bool Child::wait(Duration limit) const {
  // glibc 2.36 declares pidfd_open without extern "C".
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd) return false;
  const std::uint64_t deadline = nowNs() + static_cast<std::uint64_t>(limit.count());
  for (;;) {
    const std::uint64_t now = nowNs();
    const auto left = now < deadline ? (deadline - now + 999'999) / 1'000'000 : 0;
    pollfd ended{pidfd.get(), POLLIN, 0};
    if (::poll(&ended, 1, static_cast<int>(left)) > 0) return true;
    if (left == 0) return false;
  }
}

bool Child::stopped() const {
  siginfo_t info{};
  const auto id = static_cast<id_t>(pid_);
  return ::waitid(P_PID, id, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
}

int Child::end() {
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

bool wasKilled(int status) {
  if (!WIFSIGNALED(status)) return false;
  const int number = WTERMSIG(status);
  return number == SIGKILL || number == SIGTERM || number == SIGINT || number == SIGQUIT || number == SIGHUP;
}

std::string endOf(int status) {
  if (WIFEXITED(status)) return "ended its process with code " + std::to_string(WEXITSTATUS(status));
  const char* name = ::sigabbrev_np(WTERMSIG(status));
  return "crashed with " + (name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(WTERMSIG(status)));
}

}  // namespace lemonade::trial
