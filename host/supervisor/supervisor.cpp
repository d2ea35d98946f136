// SPDX-License-Identifier: MIT
#include "supervisor/supervisor.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/seconds.h"
#include "supervisor/link.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace lemonade::supervisor {

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kUpgradeLimit = 60 * kSecond;  // for the next process to become ready
constexpr std::uint64_t kLongestPause = 30 * kSecond;  // after one that could not start

sigset_t ours() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGABRT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD})
    ::sigaddset(&set, signal);
  return set;
}

/// What a child has it hold.
Sockets socketsOf(Message& message) {
  Sockets sockets;
  for (std::size_t from = 0; auto& fd : message.descriptors) {
    const auto end = message.about.find('\n', from);
    sockets.push_back(std::make_shared<const Socket>(Socket{message.about.substr(from, end - from), std::move(fd)}));
    from = end + 1;
  }
  return sockets;
}

/// What a child has it keep of plugins.
Sockets filesOf(Message& message) {
  Sockets files;
  for (auto& fd : message.descriptors)
    files.push_back(std::make_shared<const Socket>(Socket{kEarlierName, std::move(fd)}));
  return files;
}

/// Why one ended that was to follow at an upgrade.
std::string reasonOf(const Child& child, int status) {
  if (!child.failure.empty()) return child.failure;
  const auto moments = child.trace.read();
  if (!moments.fault || !moments.fault->call) return endingOf(status);
  return "it died of plugin " + moments.fault->call->id + ": " + describe(*moments.fault);
}

}  // namespace

int endLike(int status) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  const rlimit no_core{};
  (void)::setrlimit(RLIMIT_CORE, &no_core);  // the child's is the one to look at
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, WTERMSIG(status));
  (void)::signal(WTERMSIG(status), SIG_DFL);
  (void)::raise(WTERMSIG(status));
  (void)::sigprocmask(SIG_UNBLOCK, &only, nullptr);
  return 128 + WTERMSIG(status);
}

Supervisor::Supervisor(Program program, Sockets held, Sockets kept)
    : path_(program.path), held_(std::move(held)), kept_(std::move(kept)), program_(std::move(program)) {
  const sigset_t set = ours();
  (void)::sigprocmask(SIG_SETMASK, &set, nullptr);
  (void)::signal(SIGPIPE, SIG_IGN);
  (void)::signal(SIGCHLD, SIG_DFL);  // where it is ignored, nobody is told how a child ended
  signals_ = ownedFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
}

int Supervisor::run() {
  startAgain();
  while (!status_ || !draining_.empty()) wait();
  return *status_;
}

void Supervisor::wait() {
  std::vector<pollfd> entries{{signals_.get(), POLLIN, 0}};
  const auto children = all();
  for (const Child* child : children) entries.push_back({child->channel.get(), POLLIN, 0});
  std::uint64_t due = next_ != nullptr ? upgrade_until_ns_ : 0;
  if (start_at_ns_ != 0 && (due == 0 || start_at_ns_ < due)) due = start_at_ns_;
  const std::uint64_t now = nowNs();
  const int timeout = due == 0 ? -1 : due <= now ? 0 : static_cast<int>((due - now) / 1'000'000 + 1);
  if (::poll(entries.data(), entries.size(), timeout) < 0) return;
  // What children said before they ended comes first.
  for (std::size_t i = 0; i < children.size(); ++i)
    if (entries[i + 1].revents != 0) hear(*children[i]);
  if (next_ != nullptr && next_->ready) promote();
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info)))
    handleSignal(static_cast<int>(info.ssi_signo), info.ssi_code == SI_QUEUE ? info.ssi_int : 0);
  if (start_at_ns_ != 0 && nowNs() >= start_at_ns_) startAgain();
  if (next_ != nullptr && nowNs() >= upgrade_until_ns_) {
    next_->failure = "it was not ready within " + secondsText(kUpgradeLimit);
    pass(next_.get(), SIGKILL);
    upgrade_until_ns_ = nowNs() + kSecond;  // it will have ended by then
  }
}

// ---- signals -------------------------------------------------------------------------------------------------------

void Supervisor::handleSignal(int signal, int value) {
  switch (signal) {
    case SIGCHLD:
      return reap();
    case SIGUSR2:
      return upgrade(value == kRollBack);
    case SIGABRT:
      return abort();
    case SIGHUP:
      return pass(current_.get(), signal);
    case SIGUSR1:
      return reopen();
    default:
      return stop(signal);
  }
}

// All that have sessions write to the same files. The one that is starting cannot be told yet, and may have them open.
void Supervisor::reopen() {
  pass(current_.get(), SIGUSR1);
  for (const auto& child : draining_) pass(child.get(), SIGUSR1);
  next_missed_reopen_ = next_ != nullptr;
}

// Those that drain have been told to; a second signal means them, too. The balancer closes its sockets as it sees fit,
// and then nobody listens any more.
void Supervisor::stop(int signal) {
  const bool again = std::exchange(stopping_, true);
  held_.clear();
  if (current_ != nullptr) current_->held.clear();
  if (next_ != nullptr) pass(next_.get(), SIGKILL);
  pass(current_.get(), signal);
  if (again)
    for (const auto& child : draining_) pass(child.get(), signal);
  if (current_ == nullptr) status_ = 0;
}

// A service manager's watchdog: it is the child that stands still, and its core that somebody will want to see.
void Supervisor::abort() {
  stopping_ = true;
  for (const Child* child : all()) {
    pass(child, SIGABRT);
    pass(child, SIGCONT);  // or one that is stopped would not end
  }
  if (current_ == nullptr) status_ = SIGABRT;
}

std::vector<Child*> Supervisor::all() const {
  std::vector<Child*> children{current_.get(), next_.get()};
  for (const auto& child : draining_) children.push_back(child.get());
  std::erase(children, nullptr);
  return children;
}

void Supervisor::pass(const Child* child, int signal) const {
  if (child != nullptr) (void)::kill(child->pid, signal);
}

// ---- upgrading -----------------------------------------------------------------------------------------------------

void Supervisor::upgrade(bool back) try {
  if (stopping_) return failUpgrade("the balancer is stopping");
  if (next_ != nullptr) return failUpgrade("another one is under way");
  if (current_ == nullptr || !current_->ready) return failUpgrade("the balancer is not ready");
  if (back && !before_)
    return failUpgrade("there was no upgrade that could be rolled back since the supervisor started");
  Program program = back ? *before_ : Program{path_, nullptr, program_.arguments};
  log::info("supervisor", back ? "rolling back" : "upgrading", {{"pid", current_->pid}, {"program", program.path}});
  // What they have to say to each other is none of the supervisor's business.
  auto [before, after] = makeChannel();
  Sockets kept = kept_;
  kept.push_back(std::make_shared<const Socket>(Socket{kPredecessorName, std::move(after)}));
  auto started = start(std::move(program), current_->held, std::move(kept));
  if (!started) return failUpgrade(started.error().message);
  next_ = std::move(started).value();
  const int channel[] = {before.get()};
  (void)send(current_->channel.get(), kHandOver, {}, channel);
  upgrade_until_ns_ = nowNs() + kUpgradeLimit;
} catch (const std::system_error& e) {
  failUpgrade(e.what());  // for want of descriptors
}

void Supervisor::failUpgrade(const std::string& why) {
  log::error("supervisor", "the upgrade failed, the running balancer stays", {{"reason", why}});
  if (current_ != nullptr) (void)send(current_->channel.get(), kUpgradeFailed, why);
}

/// The next process accepts clients: only now the one before stops.
void Supervisor::promote() {
  if (current_ != nullptr) {
    log::info("supervisor", "upgraded, the process before drains",
              {{"pid", next_->pid}, {"before", current_->pid}, {"after", secondsText(nowNs() - next_->started_ns)}});
    (void)send(current_->channel.get(), kDrain);
    before_ = std::move(current_->program);
    draining_.push_back(std::move(current_));
  }
  start_at_ns_ = 0;
  current_ = std::move(next_);
  held_ = current_->held;
  program_ = current_->program;
  if (std::exchange(next_missed_reopen_, false)) pass(current_.get(), SIGUSR1);
}

// ---- children ------------------------------------------------------------------------------------------------------

void Supervisor::hear(Child& child) {
  Message message;
  for (;;) switch (receive(child.channel.get(), message)) {
      case Received::kNothing:
        return;
      case Received::kEnd:
        child.channel.reset();
        return;
      case Received::kMessage:
        if (message.what == kReady) child.ready = was_ready_ = true;
        if (message.what == kFailed) child.failure = message.about;
        if (message.what == kHold) child.held = socketsOf(message);
        if (message.what == kQuarantine && !message.descriptors.empty())
          quarantine_ = readQuarantined(message.descriptors.front().get());
        if (message.what == kEarlier) earlier_ = filesOf(message);
        // What nobody listens on any more is let go, or clients would wait there.
        if (child.ready && &child == current_.get()) held_ = child.held;
    }
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto is = [pid](const auto& child) { return child != nullptr && child->pid == pid; };
    for (auto* one : {&current_, &next_})
      if (is(*one)) {
        const auto child = std::move(*one);
        if (child->channel) hear(*child);
        const bool upgrading = one == &next_ && current_ != nullptr;
        upgrading ? failUpgrade(reasonOf(*child, status)) : handleEnd(*child, status);
      }
    std::erase_if(draining_, is);
  }
}

/// The one that served has ended.
void Supervisor::handleEnd(const Child& child, int status) {
  if (!child.held.empty()) held_ = child.held;
  const bool meant = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (stopping_ || meant) return giveUp(status);
  if (!was_ready_) {
    if (const auto moments = child.trace.read(); moments.fault && moments.fault->call)
      log::error("supervisor", "the balancer died of a plugin before it was ready",
                 {{"pid", child.pid}, {"plugin", moments.fault->call->id}, {"reason", describe(*moments.fault)}});
    return giveUp(status);
  }
  const std::string how = endingOf(status);
  // One that says it cannot start has not died: what keeps it from that may be mended while clients wait.
  const bool died = child.ready || WIFSIGNALED(status);
  const auto verdict = died ? deaths_.note(nowNs(), how, child.trace.read()) : Deaths::Verdict{};
  quarantine(verdict.blamed, child.pid);
  if (next_ != nullptr) return log::error("supervisor", "the balancer died during an upgrade", {{"pid", child.pid}});
  if (verdict.too_many) {
    log::error("supervisor", "the balancer died five times within a minute, giving up",
               {{"pid", child.pid}, {"ended", how}, {"exit_code", kKeptDying}});
    return giveUp(kKeptDying << 8);  // as wait(2) says an exit code
  }
  restart(how, child, died);
}

/// Nobody is to be started any more.
void Supervisor::giveUp(int status) {
  held_.clear();  // nobody will listen, while others still drain
  status_ = status;
}

void Supervisor::quarantine(const std::vector<Quarantined>& blamed, pid_t pid) {
  for (const auto& plugin : blamed) {
    const auto is = [&plugin](const Quarantined& known) { return known.hash == plugin.hash && known.id == plugin.id; };
    if (std::any_of(quarantine_.begin(), quarantine_.end(), is)) continue;
    log::error("supervisor", "the balancer died of a plugin, whose file is refused until it changes or is released",
               {{"plugin", plugin.id},
                {"version", plugin.version},
                {"file", plugin.file},
                {"pid", pid},
                {"reason", plugin.why}});
    quarantine_.push_back(plugin);
  }
}

/// died: it did not end in its own words. Then clients wait for the next one, and too many deaths end it all.
void Supervisor::restart(const std::string& how, const Child& dead, bool died) {
  pause_ns_ = died ? 0 : std::clamp(2 * pause_ns_, kSecond, kLongestPause);
  log::error("supervisor", "the balancer died, it is started again on the same sockets",
             {{"pid", dead.pid},
              {"ended", how},
              {"lived", secondsText(nowNs() - dead.started_ns)},
              {"starts_in", secondsText(pause_ns_)}});
  start_at_ns_ = nowNs() + pause_ns_;
}

Result<std::unique_ptr<Child>> Supervisor::start(Program program, Sockets held, Sockets kept) const {
  kept.insert(kept.end(), earlier_.begin(), earlier_.end());
  auto started = Child::start(std::move(program), std::move(held), kept, quarantine_);
  if (started && deaths_.count() != 0)
    (void)send(started.value()->channel.get(), kDeaths, std::to_string(deaths_.count()) + "\n" + deaths_.last());
  return started;
}

void Supervisor::startAgain() {
  start_at_ns_ = 0;
  auto started = start(program_, held_, kept_);
  if (started) return void(current_ = std::move(started).value());
  log::error("supervisor", "cannot start the balancer", {{"reason", started.error().message}});
  if (!was_ready_) return void(status_ = 2 << 8);  // as wait(2) says exit code 2
  pause_ns_ = std::clamp(2 * pause_ns_, kSecond, kLongestPause);
  start_at_ns_ = nowNs() + pause_ns_;
}

}  // namespace lemonade::supervisor
