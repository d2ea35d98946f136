// SPDX-License-Identifier: MIT
#include "rehearsal/preflight.h"

#include "base/fd.h"
#include "base/read_write.h"
#include "config/duration.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

namespace lemonade {

namespace {

using namespace std::chrono_literals;
constexpr Duration kLimit = 5s;
constexpr std::size_t kMostSaid = 300;  // of what the child wrote on standard error
constexpr int kMostSaidLines = 3;

Error failure(const char* what) { return {std::string(what) + ": " + std::strerror(errno)}; }

Result<Fd> inMemory(const char* name, const void* data, std::size_t size) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) return failure("memfd_create");
  if (!writeAll(fd.get(), data, size)) return failure("write");
  // As a plugin's file has to be, and read from the start.
  if (::fchmod(fd.get(), 0400) != 0 || ::lseek(fd.get(), 0, SEEK_SET) != 0) return failure("memfd");
  return fd;
}

struct Pipe {
  Fd read;
  Fd write;
};

/// A pipe whose ends never wait: what does not fit is lost, so that nobody has to read while the child runs.
Result<Pipe> makePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return failure("pipe2");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

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

/// A child process, killed and reaped at the latest when this ends.
class Child {
 public:
  /// descriptors become 0, 1, 2 ... of the child, which inherits no other.
  static Result<Child> spawn(std::initializer_list<int> descriptors) {
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
    ::posix_spawnattr_setflags(&plan.attributes,
                               POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    char name[] = "lemonade", command[] = "preflight";
    char* arguments[] = {name, command, nullptr};
    pid_t pid = -1;
    if (const int error = ::posix_spawn(&pid, "/proc/self/exe", &plan.actions, &plan.attributes, arguments, environ))
      return Error{std::string("posix_spawn of /proc/self/exe: ") + std::strerror(error)};
    return Child(pid);
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ~Child() {
    if (pid_ > 0) (void)end();
  }

  /// False where it still runs after that time.
  bool wait(Duration limit) const {
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
  /// Kills what still runs of it and its children; how it ended, as waitpid has it.
  int end() {
    ::kill(-pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

/// What the child's report comes to.
struct Report {
  std::string stage;  ///< the last one; "" where it never began
  std::string error;
  bool done = false;
};

Report readReport(const std::string& text) {
  Report report;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(kReportStage, 0) == 0) report.stage = line.substr(std::strlen(kReportStage));
    if (line.rfind(kReportError, 0) == 0) report.error = line.substr(std::strlen(kReportError));
    if (line == kReportDone) report.done = true;
  }
  return report;
}

/// The first lines that the child wrote on standard error, as one.
std::string saidBefore(const std::string& text) {
  std::string said;
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; count < kMostSaidLines && std::getline(lines, line);) {
    const auto start = line.find_first_not_of(" \t=");
    if (start == std::string::npos) continue;
    said += (said.empty() ? ": " : " ") + line.substr(start);
    ++count;
  }
  return said.substr(0, kMostSaid);
}

std::string seconds(Duration limit) {
  std::ostringstream out;
  out << std::chrono::duration<double>(limit).count() << " s";
  return out.str();
}

std::string endOf(int status) {
  if (WIFEXITED(status)) return "ended its process with code " + std::to_string(WEXITSTATUS(status));
  const char* name = ::sigabbrev_np(WTERMSIG(status));
  return "crashed with " + (name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(WTERMSIG(status)));
}

Result<Preflight> run(const Rehearsal& rehearsal, const plugin::PluginFile& file, Duration limit) {
  const std::string request = rehearsal.encode();
  auto input = inMemory("lemonade-preflight", request.data(), request.size());
  if (!input) return std::move(input).error();
  auto content = inMemory("lemonade-plugin", file.content.data(), file.content.size());
  if (!content) return std::move(content).error();
  auto output = makePipe();
  if (!output) return std::move(output).error();
  auto errors = makePipe();
  if (!errors) return std::move(errors).error();
  auto child = Child::spawn(
      {input.value().get(), output.value().write.get(), errors.value().write.get(), content.value().get()});
  if (!child) return std::move(child).error();
  const bool ended = child.value().wait(limit);
  const int status = child.value().end();
  const auto report = readReport(readToEnd(output.value().read.get()));
  const std::string said = saidBefore(readToEnd(errors.value().read.get()));
  if (report.stage.empty()) return Error{"the child never began" + said};
  const std::string who = "plugin " + file.id + " (" + file.path + ") ";
  if (!report.error.empty()) return Preflight{Preflight::Outcome::kRefused, who + report.error + " in preflight"};
  if (!ended)
    return Preflight{Preflight::Outcome::kRefused, who + "did not come to an end within " + seconds(limit) +
                                                       " in preflight, it hung while " + report.stage +
                                                       "; LEMONADE_PREFLIGHT sets the limit"};
  if (report.done) return Preflight{};
  return Preflight{Preflight::Outcome::kRefused, who + endOf(status) + " in preflight while " + report.stage + said};
}

}  // namespace

Result<std::optional<Duration>> preflightLimit(const config::Environment& environment) {
  const auto found = environment.find("LEMONADE_PREFLIGHT");
  if (found == environment.end() || found->second.empty()) return std::optional<Duration>(kLimit);
  if (found->second == "off") return std::optional<Duration>();
  const auto limit = config::parseDuration(found->second);
  if (limit && *limit > Duration::zero()) return std::optional<Duration>(*limit);
  return Error{"\"" + found->second + "\" is neither off nor a duration such as \"5s\""};
}

Preflight preflight(const Rehearsal& rehearsal, const plugin::PluginFile& file, Duration limit) {
  auto result = run(rehearsal, file, limit);
  if (result) return std::move(result).value();
  return {Preflight::Outcome::kUnable,
          "plugin " + file.id + " (" + file.path +
              ") is used without a preflight, which cannot be run here: " + result.error().message};
}

}  // namespace lemonade
