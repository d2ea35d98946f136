// SPDX-License-Identifier: MIT
//
// The child's end of a preflight.
#include "app/exit_codes.h"
#include "app/run.h"
#include "base/log.h"
#include "base/parent_process.h"
#include "base/read_write.h"
#include "rehearsal/preflight.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <string>

namespace lemonade::app {

namespace {

constexpr int kRefused = 1;

/// Writes to memory of the parent, so that what it says arrives whatever becomes of descriptors. What the plugin writes
/// to standard output goes elsewhere.
class Reporter {
 public:
  Reporter() {
    if (::ftruncate(STDOUT_FILENO, kReportSize) == 0) {
      void* const mapped = ::mmap(nullptr, kReportSize, PROT_READ | PROT_WRITE, MAP_SHARED, STDOUT_FILENO, 0);
      if (mapped != MAP_FAILED) memory_ = static_cast<char*>(mapped);
    }
    (void)::dup2(STDERR_FILENO, STDOUT_FILENO);
  }
  void say(const char* what, std::string text = "") {
    for (char& c : text)
      if (c == '\n') c = ' ';
    const std::string line = what + text + "\n";
    if (memory_ == nullptr || line.size() >= kReportSize - used_) return;
    std::copy(line.begin(), line.end(), memory_ + used_);
    used_ += line.size();
  }

 private:
  char* memory_ = nullptr;
  std::size_t used_ = 0;
};

/// Fatal signals end this process as such, also where a sanitizer would rather explain them; it dies with its parent.
/// None is blocked, as POCO does with SIGPIPE in every program.
void prepareToDie(pid_t parent) {
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(number, SIG_DFL);
  endWith(parent, kRefused);
}

}  // namespace

int runPreflight(pid_t parent) {
  prepareToDie(parent);
  Reporter reporter;
  log::Levels levels;
  levels.all = log::Level::kError;
  log::start(levels, log::Format::kText);
  log::stop();  // from here on lines are written at once

  const auto rehearsal = Rehearsal::decode(readToEnd(STDIN_FILENO));
  auto file = plugin::readPluginFile("/proc/self/fd/" + std::to_string(kPluginFd));
  if (!rehearsal || !file) return kRefused;  // without a stage: nothing was learnt about the plugin
  file.value().path = rehearsal.value().file;
  rehearse(
      rehearsal.value(), file.value(), [&](const char* stage) { reporter.say(kReportStage, stage); },
      [&](const Objection& objection) {
        reporter.say(kReportError, objection.text);
        reporter.say(kReportMend, objection.mend);
        ::_exit(kRefused);
      });
  reporter.say(kReportDone);
  // Without what runs at the end of a process: threads of the plugin may still be there.
  ::_exit(kSuccess);
}

}  // namespace lemonade::app
