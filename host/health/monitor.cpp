// SPDX-License-Identifier: MIT
#include "health/monitor.h"

#include "base/log.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <tuple>

namespace lemonade::health {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstChecks = 1s;
constexpr int kFaster = 5;
constexpr Duration kShortestFast = 100ms;
constexpr Duration kPutOff = 1s;
constexpr Duration kRepeatedLogInterval = 10s;
constexpr int kEventsAtOnce = 128;

Fd makeEpoll() {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  return Fd(fd);
}

void logFlip(const Backend& backend, bool up, const std::string& reason) {
  const auto level = up ? log::Level::kInfo : log::Level::kWarning;
  const auto message = up ? "backend is up" : "backend is down";
  const log::Field id{"backend", backend.id()};
  const log::Field name{"name", backend.settings().name};
  const log::Field address{"address", backend.addressText()};
  const log::Field pool{"pool", backend.pool()};
  if (reason.empty()) return log::write(level, "health", message, {id, name, address, pool});
  log::write(level, "health", message, {id, name, address, {"reason", reason}, pool});
}

void logDegraded(const Backend& backend, const std::string& reason) {
  if (backend.degraded())
    log::warning("health", "backend is degraded: its checks pass and say that it is unwell",
                 {{"backend", backend.id()},
                  {"name", backend.settings().name},
                  {"address", backend.addressText()},
                  {"reason", reason},
                  {"pool", backend.pool()}});
  else if (backend.healthy())
    log::info("health", "backend is degraded no more",
              {{"backend", backend.id()},
               {"name", backend.settings().name},
               {"address", backend.addressText()},
               {"pool", backend.pool()}});
}

void logCheck(const Backend& backend, bool passed, const Probe& probe, std::uint64_t now) {
  if (!log::enabled("health", log::Level::kDebug)) return;
  log::debug("health", passed ? "check passed" : "check failed",
             {{"backend", backend.id()},
              {"address", backend.addressText()},
              {"took_us", (now - probe.startedNs()) / 1'000},
              {"reason", probe.reason()},
              {"pool", backend.pool()}});
}

}  // namespace

/// A backend with its schedule. It is doing one thing at a time: resting on its timer, queued in due_, or being checked
/// with its timer as the timeout.
struct Monitor::Watched {
  Watched(std::shared_ptr<Backend> watched_backend, const CheckSettings& settings, const Clock& clock)
      : backend(std::move(watched_backend)),
        rise_and_fall(settings.rise, settings.fall, settings.initial),
        probe(clock) {}

  const std::shared_ptr<Backend> backend;
  RiseAndFall rise_and_fall;
  Probe probe;
  ControlLoop::TimerId timer = 0;
  bool queued = false;
};

Monitor::Monitor(ControlLoop& loop, OnFlip on_flip, OnCheck on_check)
    : loop_(loop),
      clock_(loop.clock()),
      on_flip_(std::move(on_flip)),
      on_check_(std::move(on_check)),
      epoll_(makeEpoll()),
      random_(std::random_device{}()) {
  loop_.watch(epoll_.get(), [this] { onReady(); });
}

Monitor::~Monitor() { stop(); }

void Monitor::setChecker(std::shared_ptr<const Checker> checker) {
  std::vector<Watched*> starting;
  for (const auto& [backend, watched] : watched_) {
    if (checker && checker_ && !watched->probe.running()) continue;
    rest(*watched);
    starting.push_back(watched.get());
  }
  checker_ = std::move(checker);
  if (checker_) spread(starting);
  settleSoon();
}

void Monitor::configure(const CheckSettings& settings) {
  const bool other_counts = settings.rise != settings_.rise || settings.fall != settings_.fall;
  const auto intervals = [](const CheckSettings& s) {
    return std::tuple(s.interval, s.fast_interval, s.down_interval);
  };
  const bool other_interval = intervals(settings) != intervals(settings_);
  const bool other_timeout = settings.timeout != settings_.timeout;
  const bool no_more_checks = settings_.checks && !settings.checks;
  settings_ = settings;
  if (no_more_checks) {
    for (const auto& [backend, watched] : watched_) callUp(*watched);
    return settleSoon();
  }
  for (const auto& [backend, watched] : watched_) {
    if (other_counts) watched->rise_and_fall.configure(settings.rise, settings.fall);
    if (other_timeout && watched->probe.running()) limit(*watched);
    const bool resting = watched->timer != 0 && !watched->probe.running();
    if (other_interval && resting && watched->rise_and_fall.checked()) scheduleNext(*watched);
  }
}

void Monitor::setBackends(const std::vector<std::shared_ptr<Backend>>& backends) {
  auto before = std::exchange(watched_, {});
  std::vector<Watched*> starting;
  for (const auto& backend : backends) {
    if (!backend->resolved() || watched_.contains(backend.get())) continue;
    auto& watched = watched_[backend.get()];
    if (const auto known = before.find(backend.get()); known != before.end()) {
      watched = std::move(known->second);
    } else {
      watched = std::make_unique<Watched>(backend, settings_, clock_);
      if (!settings_.checks)
        callUp(*watched);
      else if (!watched->rise_and_fall.up())
        (void)backend->setHealth(false, "not checked yet");
      starting.push_back(watched.get());
    }
  }
  for (const auto& [backend, watched] : before)
    if (watched) rest(*watched);
  if (checker_) spread(starting);
  settleSoon();
}

void Monitor::stop() {
  for (const auto& [backend, watched] : watched_) rest(*watched);
  watched_.clear();
  flipped_.clear();
  checked_.clear();
  checker_.reset();
  loop_.cancel(std::exchange(settling_, 0));
  loop_.unwatch(epoll_.get());
}

void Monitor::spread(const std::vector<Watched*>& watched) {
  // Where clients wait for them they come at once.
  const bool waited_for = settings_.initial == config::Initial::kCheck;
  const auto window = waited_for ? Duration::zero() : std::min(settings_.interval, kFirstChecks);
  const auto count = static_cast<Duration::rep>(watched.size());
  for (Duration::rep i = 0; i < count; ++i) schedule(*watched[static_cast<std::size_t>(i)], window * i / count);
}

void Monitor::schedule(Watched& watched, Duration delay) {
  loop_.cancel(watched.timer);
  watched.timer = loop_.after(delay, [this, &watched] { onDue(watched); });
}

void Monitor::scheduleNext(Watched& watched) { schedule(watched, jittered(intervalOf(watched)) - sinceBegin(watched)); }

/// Of its last check, or of the one that runs.
Duration Monitor::sinceBegin(const Watched& watched) const noexcept {
  return Duration(static_cast<Duration::rep>(clock_.nowNs() - watched.probe.startedNs()));
}

Duration Monitor::intervalOf(const Watched& watched) const noexcept {
  if (watched.rise_and_fall.changing()) return fastInterval();
  const bool slow = !watched.rise_and_fall.up() && settings_.down_interval != Duration();
  return slow ? settings_.down_interval : settings_.interval;
}

/// A flip waits for several checks of a backend that is probably as the first of them found it.
Duration Monitor::fastInterval() const noexcept {
  if (settings_.fast_interval != Duration()) return settings_.fast_interval;
  return std::min(settings_.interval, std::max(settings_.interval / kFaster, kShortestFast));
}

/// Leaves a backend without timer, turn or check.
void Monitor::rest(Watched& watched) {
  loop_.cancel(std::exchange(watched.timer, 0));
  if (std::exchange(watched.queued, false)) std::erase(due_, &watched);
  if (!watched.probe.running()) return;
  watched.probe.cancel();
  --running_;
}

Duration Monitor::jittered(Duration interval) {
  const double factor = std::uniform_real_distribution(0.9, 1.1)(random_);
  return Duration(static_cast<Duration::rep>(static_cast<double>(interval.count()) * factor));
}

void Monitor::onDue(Watched& watched) {
  watched.timer = 0;
  guard(watched, [&] {
    due_.push_back(&watched);
    watched.queued = true;
  });
  settle();
}

void Monitor::onTimeout(Watched& watched) {
  guard(watched, [&] { finish(watched, watched.probe.onTimeout()); });
  settle();
}

void Monitor::onReady() {
  epoll_event events[kEventsAtOnce];
  const int count = ::epoll_wait(epoll_.get(), events, kEventsAtOnce, 0);
  for (int i = 0; i < count; ++i) {
    auto& watched = *static_cast<Watched*>(events[i].data.ptr);
    guard(watched, [&] {
      const auto outcome = watched.probe.onReady(events[i].events, buffer_);
      if (outcome != Probe::Outcome::kRunning) finish(watched, outcome);
    });
  }
  settle();
}

/// One step of a check. Where there is no memory for it the check is put off, and says nothing about the backend.
template <class Step>
void Monitor::guard(Watched& watched, Step&& step) try {
  step();
} catch (const std::bad_alloc&) {
  rest(watched);
  counters_.skipped.add();
  schedule(watched, std::min(settings_.interval, kPutOff));
}

/// Ends every callback of the loop: begins what has a turn now, and tells of flips when nothing of the monitor is under
/// way any more, so that whoever hears of one may change everything.
void Monitor::settle() {
  while (checker_ && running_ < kMaxRunning && !due_.empty()) {
    auto& next = *due_.front();
    due_.pop_front();
    next.queued = false;
    guard(next, [&] { begin(next); });
  }
  tellAll(flipped_, on_flip_);
  tellAll(checked_, on_check_);
}

/// Each is let go of only when it has been told, for the next time where that fails.
template <class What, class Hear>
void Monitor::tellAll(std::deque<What>& untold, const Hear& hear) {
  while (!untold.empty()) {
    const What what = untold.front();
    hear(what);
    if (!untold.empty()) untold.pop_front();  // whoever heard may have stopped all this
  }
}

void Monitor::settleSoon() {
  if ((due_.empty() && flipped_.empty()) || settling_ != 0) return;
  settling_ = loop_.after(Duration::zero(), [this] {
    settling_ = 0;
    settle();
  });
}

void Monitor::begin(Watched& watched) {
  auto outcome = Probe::Outcome::kSkipped;
  try {
    outcome =
        watched.probe.begin(*checker_, *watched.backend, settings_.route, settings_.timeout, epoll_.get(), &watched);
  } catch (const std::bad_alloc&) {
    watched.probe.cancel();
    throw;
  }
  if (outcome != Probe::Outcome::kRunning) return conclude(watched, outcome);
  ++running_;
  limit(watched);
}

/// Ends the check under way when the timeout has passed since it began.
void Monitor::limit(Watched& watched) {
  loop_.cancel(watched.timer);
  watched.timer = loop_.after(settings_.timeout - sinceBegin(watched), [this, &watched] { onTimeout(watched); });
}

void Monitor::finish(Watched& watched, Probe::Outcome outcome) {
  loop_.cancel(std::exchange(watched.timer, 0));
  --running_;
  conclude(watched, outcome);
}

void Monitor::conclude(Watched& watched, Probe::Outcome outcome) {
  if (outcome == Probe::Outcome::kSkipped) return putOff(watched);
  if (outcome == Probe::Outcome::kBroken) return blameChecker(watched);
  const bool passed = outcome != Probe::Outcome::kFailed;
  const std::string& reason = watched.probe.reason();
  // Told before it is true: what is true and never told would be found by nobody.
  checked_.push_back({watched.backend, passed, watched.probe.startedNs()});
  counters_.checks.add();
  if (!passed) counters_.failures.add();
  logCheck(*watched.backend, passed, watched.probe, clock_.nowNs());

  const bool first = !watched.rise_and_fall.checked();
  const bool up = watched.rise_and_fall.observe(passed);
  if (up != watched.backend->healthy()) flipped_.push_back(watched.backend);
  if (watched.backend->setHealth(up, passed && !up && reason.empty() ? "recovering" : reason))
    logFlip(*watched.backend, up, reason);
  if (watched.backend->setDegraded(up && outcome == Probe::Outcome::kDegraded)) logDegraded(*watched.backend, reason);
  if (!first) return scheduleNext(watched);
  // First checks come close together; the second ones come anywhere within the interval, and so do all that follow.
  schedule(watched, jittered(intervalOf(watched)) * std::uniform_int_distribution(10, 100)(random_) / 100);
}

std::uint64_t Monitor::Repeated::happened(std::uint64_t now) noexcept {
  ++unlogged;
  if (logged_ns != 0 && now - logged_ns < static_cast<std::uint64_t>(kRepeatedLogInterval.count())) return 0;
  logged_ns = now;
  return std::exchange(unlogged, 0);
}

void Monitor::putOff(Watched& watched) {
  counters_.skipped.add();
  schedule(watched, jittered(std::min(settings_.interval, kPutOff)));
  if (const auto checks = put_off_.happened(clock_.nowNs()); checks != 0)
    log::warning("health", "checks are put off, this host lacks what they need",
                 {{"reason", watched.probe.reason()},
                  {"checks", checks},
                  {"backend", watched.backend->id()},
                  {"pool", watched.backend->pool()}});
}

// What was found before stays.
void Monitor::blameChecker(Watched& watched) {
  counters_.broken.add();
  scheduleNext(watched);
  if (const auto checks = broken_.happened(clock_.nowNs()); checks != 0)
    log::error("health", "the health checker failed, which says nothing about the backend",
               {{"checker", checker_->info().id},
                {"version", checker_->info().version},
                {"reason", watched.probe.reason()},
                {"checks", checks},
                {"backend", watched.backend->id()},
                {"pool", watched.backend->pool()}});
}

// Of one that nobody checks any more, or has ever checked.
void Monitor::callUp(Watched& watched) {
  watched.rise_and_fall = RiseAndFall(settings_.rise, settings_.fall);
  (void)watched.backend->setDegraded(false);
  if (!watched.backend->setHealth(true, "not checked")) return;
  logFlip(*watched.backend, true, "not checked");
  flipped_.push_back(watched.backend);
}

bool Monitor::checked(const Backend& backend) const {
  const auto found = watched_.find(&backend);
  return settings_.checks && found != watched_.end() && found->second->rise_and_fall.checked();
}

void Monitor::resume(const Backend& backend) {
  const auto found = watched_.find(&backend);
  if (settings_.checks && found != watched_.end()) found->second->rise_and_fall.resume(backend.healthy());
}

bool Monitor::allChecked() const {
  return std::all_of(watched_.begin(), watched_.end(),
                     [](const auto& one) { return one.second->rise_and_fall.checked(); });
}

}  // namespace lemonade::health
