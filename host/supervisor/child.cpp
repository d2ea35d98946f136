// SPDX-License-Identifier: MIT
#include "supervisor/child.h"

#include "base/clock.h"
#include "base/handed_descriptors.h"
#include "supervisor/deaths.h"
#include "supervisor/link.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lemonade::supervisor {

namespace {

constexpr int kCannotExecute = 127;

/// In the new process; comes back only where the program cannot be executed.
void execute(const Program& program, HandedDescriptors& handed, char* const* arguments, int file) noexcept {
  (void)::setpgid(0, 0);
  sigset_t none;
  ::sigemptyset(&none);
  if (!handed.place()) return;
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (file >= 0)
    (void)::execveat(file, "", arguments, handed.environment(), AT_EMPTY_PATH);
  else
    (void)::execve(program.path.c_str(), arguments, handed.environment());
}

/// The file that a process executes, to be executed again.
std::shared_ptr<const Fd> programOf(pid_t pid) {
  return std::make_shared<const Fd>(::open(("/proc/" + std::to_string(pid) + "/exe").c_str(), O_PATH | O_CLOEXEC));
}

}  // namespace

Result<std::unique_ptr<Child>> Child::start(Program program, Sockets held, const Sockets& kept,
                                            const std::vector<Quarantined>& quarantine) {
  auto child = std::make_unique<Child>();
  auto [ours, theirs] = makeChannel();
  child->trace = TraceMemory::make();
  const Fd refused = quarantine.empty() ? Fd() : writeQuarantined(quarantine);
  HandedDescriptors handed;
  for (const Sockets* sockets : {static_cast<const Sockets*>(&held), &kept})
    for (const auto& socket : *sockets) handed.add(socket->name, socket->fd.get());
  handed.add(kChannelName, theirs.get());
  if (child->trace.fd() >= 0) handed.add(kTraceName, child->trace.fd());
  if (refused) handed.add(kQuarantineName, refused.get());
  handed.prepare({});
  std::vector<char*> arguments;
  for (auto& argument : program.arguments) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  // Whether it was executed is told by a pipe that closes then, or has the error.
  int told[2];
  if (::pipe2(told, O_CLOEXEC) != 0) return Error{std::string("pipe: ") + std::strerror(errno)};
  const Fd reader(told[0]);
  Fd writer(told[1]);
  const int file = program.file != nullptr ? program.file->get() : -1;
  child->pid = ::fork();
  if (child->pid < 0) return Error{std::string("fork: ") + std::strerror(errno)};
  if (child->pid == 0) {
    // Out of the way of what is placed.
    const int report = ::fcntl(writer.get(), F_DUPFD_CLOEXEC, 1'000);
    execute(program, handed, arguments.data(), file);
    const int error = errno;
    (void)!::write(report >= 0 ? report : writer.get(), &error, sizeof(error));
    ::_exit(kCannotExecute);
  }
  writer.reset();
  int error = 0;
  if (::read(reader.get(), &error, sizeof(error)) == static_cast<ssize_t>(sizeof(error))) {
    (void)::waitpid(child->pid, nullptr, 0);
    return Error{"cannot execute " + program.path + ": " + std::strerror(error)};
  }
  program.file = programOf(child->pid);
  child->channel = std::move(ours);
  child->program = std::move(program);
  child->held = std::move(held);
  child->started_ns = nowNs();
  return child;
}

std::string endingOf(int status) {
  if (WIFSIGNALED(status)) return signalText(WTERMSIG(status));
  return "exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace lemonade::supervisor
