// SPDX-License-Identifier: MIT
#include "doctor/checks.h"

#include "balance/backend.h"
#include "doctor/in_words.h"

#include <sys/epoll.h>

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace lemonade::doctor {

namespace {

using Outcome = health::Probe::Outcome;

constexpr std::size_t kChecksAtOnce = 64;
constexpr const char* kChecksTopic = "checks";

bool isChecked(const Patient& patient) { return patient.checker != nullptr && patient.address.family() != AF_UNSPEC; }

/// All checks under way. Control thread, but for wait().
class Checks {
 public:
  Checks(const Patients& patients, ControlLoop& loop, std::uint64_t deadline_ns)
      : places_(patients),
        loop_(loop),
        deadline_ns_(deadline_ns),
        epoll_(ownedFd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        checked_(patients.size()) {}

  void start() {
    loop_.watch(epoll_.get(), [this] { onReady(); });
    goOn();
  }
  /// Waits for their end; then stop() is to be called.
  void wait() {
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, leftUntil(deadline_ns_), [this] { return all_ended_; });
  }
  std::vector<Checked> stop() {
    loop_.unwatch(epoll_.get());
    for (auto& run : runs_)
      if (run != nullptr) cancel(*run);
    runs_.clear();
    return std::move(checked_);
  }

 private:
  struct Run {
    Run(const Patient& its_patient, std::size_t its_number)
        : patient(its_patient), which(its_number), backend(patient.backend, patient.address, 1, patient.pool->name) {}

    const Patient& patient;
    const std::size_t which;
    Backend backend;
    health::Probe probe{Clock::steady()};
    ControlLoop::TimerId timer = 0;
  };

  void goOn() {
    while (running_ < kChecksAtOnce && next_ < places_.size()) {
      const std::size_t which = next_++;
      if (isChecked(places_[which])) begin(which);
    }
    if (running_ != 0) return;
    const std::lock_guard lock(mutex_);
    all_ended_ = true;
    ended_.notify_one();
  }

  void begin(std::size_t which) {
    auto& run = *runs_.emplace_back(std::make_unique<Run>(places_[which], which));
    ++running_;
    const Duration timeout = run.patient.pool->health.timeout;
    const auto outcome =
        run.probe.begin(run.patient.checker, {run.backend, run.patient.route}, timeout, epoll_.get(), &run);
    run.timer = loop_.after(timeout, [this, &run] { settle(run, run.probe.onTimeout()); });
    settle(run, outcome);
  }

  void onReady() {
    std::array<epoll_event, kChecksAtOnce> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < count; ++i) {
      auto& run = *static_cast<Run*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (run.probe.running()) settle(run, run.probe.onReady(events[static_cast<std::size_t>(i)].events, buffer_));
    }
  }

  void settle(Run& run, Outcome outcome) {
    if (outcome == Outcome::kRunning) return;
    loop_.cancel(run.timer);
    checked_[run.which] = {outcome, run.probe.reason(),
                           Duration(static_cast<Duration::rep>(nowNs() - run.probe.startedNs()))};
    --running_;
    loop_.post([this] { goOn(); });  // not at once: this may be within goOn()
  }

  void cancel(Run& run) {
    loop_.cancel(run.timer);
    run.probe.cancel();
  }

  const Patients& places_;
  ControlLoop& loop_;
  const std::uint64_t deadline_ns_;
  const Fd epoll_;
  std::vector<Checked> checked_;
  std::vector<std::unique_ptr<Run>> runs_;
  std::size_t next_ = 0;
  std::size_t running_ = 0;
  std::array<char, 16'384> buffer_{};

  std::mutex mutex_;
  std::condition_variable ended_;
  bool all_ended_ = false;  // guarded by mutex_
};

Finding judge(const Patient& patient, const Checked& checked) {
  const std::string of = patient.checker->info().id + " of " + patient.route.target(patient.address).text();
  const std::string mend =
      "lemonade lb with LEMONADE_LOG=health=debug logs each check; correct [health], or the server";
  switch (checked.outcome) {
    case Outcome::kPassed:
      return {Level::kOk, kChecksTopic, of + " passes, after " + inWords(checked.took), patient.key()};
    case Outcome::kDegraded:
      return {Level::kWarning, kChecksTopic, of + " passes and says that it is unwell: " + checked.reason,
              patient.key(), mend};
    case Outcome::kFailed:
      return {patient.backend.enabled ? Level::kProblem : Level::kWarning, kChecksTopic,
              of + " fails: " + checked.reason, patient.key(), mend};
    case Outcome::kBroken:
      return {Level::kProblem, kChecksTopic, of + ": the checker itself failed: " + checked.reason, patient.key(),
              "bring another version of the plugin, or another health.checker"};
    case Outcome::kSkipped:
      return {Level::kWarning, kChecksTopic, of + " was not possible: " + checked.reason, patient.key(),
              "run this again with more descriptors (ulimit -n)"};
    case Outcome::kRunning:
      break;
  }
  return {Level::kWarning, kChecksTopic, of + " came to no end: the time was over", patient.key(),
          "give it more with --timeout"};
}

}  // namespace

std::vector<Checked> check(const Patients& patients, ControlLoop& loop, std::uint64_t deadline_ns) {
  std::unique_ptr<Checks> checks;
  loop.run([&] {
    checks = std::make_unique<Checks>(patients, loop, deadline_ns);
    checks->start();
  });
  checks->wait();
  std::vector<Checked> checked;
  loop.run([&] { checked = checks->stop(); });
  loop.run([&] { checks.reset(); });  // after what was posted
  return checked;
}

Findings judgeChecks(const Patients& patients, const std::vector<Checked>& checked) {
  Findings findings;
  for (std::size_t i = 0; i < patients.size(); ++i)
    if (isChecked(patients[i])) findings.push_back(judge(patients[i], checked[i]));
  return findings;
}

}  // namespace lemonade::doctor
