// SPDX-License-Identifier: MIT
//
// The reading; process_change.cpp compares.
#include "plugin/process_state.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <locale>
#include <memory>
#include <new>
#include <utility>

namespace lemonade::plugin {

namespace {

constexpr const char* kPutBack = "leave it alone, or do the work in a process of its own";
constexpr const char* kLeaveLimits = "leave limits to the operator (ulimit, LimitNOFILE= of systemd)";
constexpr const char* kFormat =
    "leave the locale alone: std::to_chars, std::from_chars and std::locale::classic() need none";
constexpr const char* kPaths = "use whole paths, and openat where a folder is meant";
constexpr const char* kTimers = "take timer_start of the host table, or a thread of your own that sleeps";
constexpr const char* kHandlers = "leave it to the host, and catch exceptions before they leave a function";

struct Limit {
  int resource;
  const char* name;
};
constexpr Limit kLimits[] = {
    {RLIMIT_CPU, "the limit of CPU time"},
    {RLIMIT_FSIZE, "the limit of the size of files"},
    {RLIMIT_DATA, "the limit of data"},
    {RLIMIT_STACK, "the limit of the stack"},
    {RLIMIT_CORE, "the limit of core dumps"},
    {RLIMIT_NPROC, "the limit of processes"},
    {RLIMIT_NOFILE, "the limit of descriptors"},
    {RLIMIT_MEMLOCK, "the limit of locked memory"},
    {RLIMIT_AS, "the limit of memory"},
    {RLIMIT_SIGPENDING, "the limit of queued signals"},
    {RLIMIT_MSGQUEUE, "the limit of message queues"},
    {RLIMIT_NICE, "the limit of priorities"},
    {RLIMIT_RTPRIO, "the limit of real-time priorities"},
    {RLIMIT_RTTIME, "the limit of real-time CPU time"},
};

std::string limitText(rlim_t value) { return value == RLIM_INFINITY ? "none" : std::to_string(value); }

std::string limitOf(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return "";
  return limitText(limit.rlim_cur) + " (at most " + limitText(limit.rlim_max) + ")";
}

std::string timerOf(int which) {
  itimerval timer{};
  if (::getitimer(static_cast<__itimer_which_t>(which), &timer) != 0) return "";
  return timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0 ? "running" : "off";
}

std::string linkOf(const char* path) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(path, target, sizeof(target));
  return {target, size > 0 ? static_cast<std::size_t>(size) : 0};
}

/// The lines of a status file of /proc, by name.
std::map<std::string, std::string> statusOf(const char* path) {
  std::map<std::string, std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    const auto start = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (start != std::string::npos) lines[line.substr(0, colon)] = line.substr(start);
  }
  return lines;
}

/// "SIGTERM, SIGHUP" of a mask as /proc writes it.
std::string signalsOf(const std::string& mask) {
  const auto bits = std::strtoull(mask.c_str(), nullptr, 16);
  std::string names;
  for (int number = 1; number <= 64; ++number) {
    if ((bits >> (number - 1) & 1) == 0) continue;
    const char* name = ::sigabbrev_np(number);
    names += (names.empty() ? "" : ", ") + (name != nullptr ? "SIG" + std::string(name) : std::to_string(number));
  }
  return names.empty() ? "none" : names;
}

/// The numbers that are the names of what a folder holds.
std::vector<int> numbersIn(const char* folder) {
  std::vector<int> numbers;
  const auto close = [](DIR* open) { ::closedir(open); };
  const std::unique_ptr<DIR, decltype(close)> entries(::opendir(folder), close);
  if (entries == nullptr) return numbers;
  const int own = ::dirfd(entries.get());
  while (const dirent* const entry = ::readdir(entries.get())) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    if (const int number = std::atoi(entry->d_name); number != own) numbers.push_back(number);
  }
  return numbers;
}

std::string textOf(const void* address) { return std::to_string(reinterpret_cast<std::uintptr_t>(address)); }

std::string alternateStack() {
  stack_t stack{};
  (void)::sigaltstack(nullptr, &stack);
  return textOf(stack.ss_sp) + "," + std::to_string(stack.ss_size) + "," + std::to_string(stack.ss_flags & SS_DISABLE);
}

std::string scheduling() {
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, 0);
  return "policy " + std::to_string(::sched_getscheduler(0)) + ", nice " + std::to_string(nice);
}

bool hasChildren() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) == 0;
}

}  // namespace

void ProcessState::readProperties() {
  const auto add = [this](const char* name, std::string value, const char* mend, bool tells = true) {
    properties_.push_back({name, std::move(value), mend, tells});
  };
  // Of the thread: that of the process is that of its first one.
  auto status = statusOf("/proc/thread-self/status");
  add("the locale", ::setlocale(LC_ALL, nullptr), kFormat);
  add("the locale of streams", std::locale().name(), kFormat);
  add("the locale of the thread", ::uselocale(nullptr) == LC_GLOBAL_LOCALE ? "that of the process" : "its own",
      kFormat);
  add("the working directory", linkOf("/proc/self/cwd"), kPaths);
  add("the root directory", linkOf("/proc/self/root"), kPaths);
  add("the umask", status["Umask"], "give the mode to open, and fchmod what was made");
  add("the user", status["Uid"], kPutBack);
  add("the group", status["Gid"], kPutBack);
  add("the filter of system calls", status["Seccomp"], kPutBack);
  add("whether privileges can be gained", status["NoNewPrivs"], kPutBack);
  add("the signals that the thread blocks", signalsOf(status["SigBlk"]),
      "block signals in threads of your own only, and put the mask back before a call returns");
  add("the alternate signal stack", alternateStack(), "leave it alone: the host survives faults by it", false);
  add("the processors that the thread may use", status["Cpus_allowed_list"],
      "pin threads of your own only, after you have made them");
  add("the priority of the thread", scheduling(), "set it of threads of your own only, after you have made them");
  for (const auto& limit : kLimits) add(limit.name, limitOf(limit.resource), kLeaveLimits);
  add("the timer of real time", timerOf(ITIMER_REAL), kTimers);
  add("the timer of CPU time", timerOf(ITIMER_VIRTUAL), kTimers);
  add("the timer of profiling", timerOf(ITIMER_PROF), kTimers);
  add("whether core dumps are written", std::to_string(::prctl(PR_GET_DUMPABLE)), kPutBack);
  add("the handler of std::terminate", textOf(reinterpret_cast<const void*>(std::get_terminate())), kHandlers, false);
  add("the handler of operator new", textOf(reinterpret_cast<const void*>(std::get_new_handler())), kHandlers, false);
}

void ProcessState::readSignals() {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0) continue;  // those that glibc keeps to itself
    const auto handler = (action.sa_flags & SA_SIGINFO) != 0 ? reinterpret_cast<std::uintptr_t>(action.sa_sigaction)
                                                             : reinterpret_cast<std::uintptr_t>(action.sa_handler);
    signals_[number] = {handler, static_cast<std::uint64_t>(action.sa_flags)};
  }
}

void ProcessState::readDescriptors() {
  for (const int fd : numbersIn("/proc/self/fd")) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) continue;  // it was the folder itself
    const int flags = (::fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_APPEND | O_ASYNC | O_DIRECT)) |
                      (::fcntl(fd, F_GETFD) == FD_CLOEXEC ? O_CLOEXEC : 0);
    descriptors_[fd] = {linkOf(("/proc/self/fd/" + std::to_string(fd)).c_str()),
                        std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino), flags};
  }
}

ProcessState ProcessState::now() {
  ProcessState state;
  // First: what is called here might use the unit.
  state.float_control_ = FloatControl::now();
  state.readProperties();
  state.readSignals();
  state.readDescriptors();
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const auto equals = std::min(text.find('='), text.size());
    state.environment_[text.substr(0, equals)] = text.substr(equals);
  }
  for (const int thread : numbersIn("/proc/self/task")) state.threads_.insert(thread);
  state.children_ = hasChildren();
  return state;
}

ProcessState ProcessState::afterEnd(const ProcessState& before, bool threads_may_stay) {
  using namespace std::chrono_literals;
  constexpr Duration kPatience = 500ms;
  constexpr timespec kTurn{0, 1'000'000};
  const auto deadline = nowNs() + static_cast<std::uint64_t>(kPatience.count());
  for (;;) {
    auto state = now();
    // One that was joined may be listed a moment longer.
    const auto is_new = [&](int thread) { return !before.threads_.contains(thread); };
    if (threads_may_stay || nowNs() >= deadline || std::none_of(state.threads_.begin(), state.threads_.end(), is_new))
      return state;
    (void)::nanosleep(&kTurn, nullptr);
  }
}

}  // namespace lemonade::plugin
