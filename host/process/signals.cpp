// SPDX-License-Identifier: MIT
#include "process/signals.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstring>

namespace lemonade {

namespace {

bool hasHandler(int signal) noexcept {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN;
}

sigset_t ours() noexcept {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) sigaddset(&set, signal);
  const auto addUnhandled = [&set](int signal) {
    if (!hasHandler(signal)) sigaddset(&set, signal);
  };
  for (const int signal : {SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGPWR, SIGSTKFLT}) addUnhandled(signal);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) addUnhandled(signal);
  return set;
}

}  // namespace

Meaning meaningOf(int signal) noexcept {
  switch (signal) {
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
      return Meaning::kStop;
    case SIGHUP:
      return Meaning::kReload;
    case SIGUSR1:
      return Meaning::kReopen;
    default:
      return Meaning::kNothing;
  }
}

std::string nameOf(int signal) {
  if (signal >= SIGRTMIN && signal <= SIGRTMAX) return "SIGRTMIN+" + std::to_string(signal - SIGRTMIN);
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? "SIG" + std::string(name) : std::to_string(signal);
}

Signals::Signals() {
  const sigset_t set = ours();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGIO, SIG_IGN);    // a lease that the watcher holds for an instant may be broken meanwhile
  ::signal(SIGXFSZ, SIG_IGN);  // a log that has reached the size it may have is no reason to end
  fd_ = ownedFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
}

std::optional<int> Signals::next() noexcept {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace lemonade
