// SPDX-License-Identifier: MIT
//
// The child's end of a preflight.
#include "app/exit_codes.h"
#include "app/run.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/read_write.h"
#include "rehearsal/preflight.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <string>

namespace lemonade::app {

namespace {

constexpr int kRefused = 1;

/// Writes to the parent; what the plugin writes to standard output goes elsewhere.
class Reporter {
 public:
  Reporter() : fd_(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, kPluginFd + 1)) {
    (void)::dup2(STDERR_FILENO, STDOUT_FILENO);
  }
  void say(const char* what, std::string text = "") const {
    for (char& c : text)
      if (c == '\n') c = ' ';
    const std::string line = what + text + "\n";
    (void)!::write(fd_.get(), line.data(), line.size());
  }

 private:
  const Fd fd_;
};

/// Fatal signals end this process as such, also where a sanitizer would rather explain them; it dies with its parent.
/// None is blocked, as POCO does with SIGPIPE in every program.
void prepareToDie() {
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(number, SIG_DFL);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

}  // namespace

int runPreflight() {
  prepareToDie();
  const Reporter reporter;
  log::Levels levels;
  levels.all = log::Level::kError;
  log::start(levels, log::Format::kText);
  log::stop();  // from here on lines are written at once

  const auto rehearsal = Rehearsal::decode(readToEnd(STDIN_FILENO));
  auto file = plugin::readPluginFile("/proc/self/fd/" + std::to_string(kPluginFd));
  if (!rehearsal || !file) return kRefused;  // without a stage: nothing was learnt about the plugin
  file.value().path = rehearsal.value().file;
  const auto status =
      rehearse(rehearsal.value(), file.value(), [&](const char* stage) { reporter.say(kReportStage, stage); });
  status ? reporter.say(kReportDone) : reporter.say(kReportError, status.error().message);
  // Without what runs at the end of a process: threads of the plugin may still be there.
  ::_exit(status ? kSuccess : kRefused);
}

}  // namespace lemonade::app
