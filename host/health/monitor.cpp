// SPDX-License-Identifier: MIT
#include "health/monitor.h"

#include "base/log.h"

#include <algorithm>
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

void logCheck(const Backend& backend, bool passed, const Errand& errand) {
  if (!log::enabled("health", log::Level::kDebug)) return;
  log::debug("health", passed ? "check passed" : "check failed",
             {{"backend", backend.id()},
              {"address", backend.addressText()},
              {"took_us", (errand.ended_ns - errand.probe.startedNs()) / 1'000},
              {"reason", errand.probe.reason()},
              {"pool", backend.pool()}});
}

}  // namespace

/// A backend with its schedule. It is doing one thing at a time: resting on its timer, queued in due_, or being
/// checked, with its errand on its way.
struct Monitor::Watched : Errand::Owner {
  Watched(Monitor& its_monitor, std::shared_ptr<Backend> watched_backend)
      : monitor(its_monitor),
        backend(std::move(watched_backend)),
        rise_and_fall(monitor.settings_.rise, monitor.settings_.fall, monitor.settings_.initial) {}

  void ended() override { monitor.onEnded(*this); }
  void lost() override { monitor.onLost(*this); }

  Monitor& monitor;
  const std::shared_ptr<Backend> backend;
  RiseAndFall rise_and_fall;
  std::shared_ptr<Errand> errand;  // null: it is not being checked
  ControlLoop::TimerId timer = 0;
  bool queued = false;
  std::uint64_t began_ns = 0;  // the last check, or the one that runs
  bool unreachable = false;    // its last check that failed did not get a connection
  bool by_connect = false;     // its next check asks no checker, which has failed in the last one
};

Monitor::Monitor(ControlLoop& loop, Checks& checks, OnFlip on_flip, OnCheck on_check)
    : loop_(loop),
      clock_(loop.clock()),
      checks_(checks),
      on_flip_(std::move(on_flip)),
      on_check_(std::move(on_check)),
      random_(std::random_device{}()) {}

Monitor::~Monitor() { stop(); }

void Monitor::setChecker(std::shared_ptr<const Checker> checker) {
  std::vector<Watched*> starting;
  for (const auto& [backend, watched] : watched_) {
    if (checker && checker_ && watched->errand == nullptr) continue;
    rest(*watched);
    starting.push_back(watched.get());
  }
  checker_ = std::move(checker);
  lookAtChecker();
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
    if (other_timeout && watched->errand != nullptr) checks_.limit(*watched->errand, settings.timeout);
    if (other_interval && watched->timer != 0 && watched->rise_and_fall.checked()) scheduleNext(*watched);
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
      watched = std::make_unique<Watched>(*this, backend);
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
  idle_.clear();
  flipped_.clear();
  checked_.clear();
  checker_.reset();
  loop_.cancel(std::exchange(settling_, 0));
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
  return Duration(static_cast<Duration::rep>(clock_.nowNs() - watched.began_ns));
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
  if (watched.errand == nullptr) return;
  checks_.cancel(*watched.errand);
  watched.errand.reset();  // it comes home to nobody
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

void Monitor::onEnded(Watched& watched) {
  auto errand = std::move(watched.errand);
  --running_;
  guard(watched, [&] { conclude(watched, *errand); });
  errand->checker.reset();  // it may be replaced before the next check
  idle_.push_back(std::move(errand));
  settle();
}

/// Nothing was learnt about the backend.
void Monitor::onLost(Watched& watched) {
  watched.errand.reset();
  --running_;
  guard(watched, [&] {
    lookAtChecker();
    (standsIn() ? counters_.broken : counters_.skipped).add();
    schedule(watched, jittered(std::min(settings_.interval, kPutOff)));
  });
  settle();
}

/// One step of a check. Where there is no memory for it, nor a thread or descriptors, the check is put off, and says
/// nothing about the backend.
template <class Step>
void Monitor::guard(Watched& watched, Step&& step) {
  try {
    return step();
  } catch (const std::bad_alloc&) {
  } catch (const std::system_error&) {
  }
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
  lookAtChecker();
  if (idle_.empty()) {
    idle_.reserve(running_ + 1);  // there is room for each that comes home
    idle_.push_back(std::make_shared<Errand>(clock_));
  }
  const auto& errand = idle_.back();
  errand->owner = &watched;
  errand->checker = std::exchange(watched.by_connect, false) || standsIn() ? nullptr : checker_;
  errand->target = Probe::Target(*watched.backend, settings_.route);
  errand->timeout.store(settings_.timeout);
  watched.began_ns = clock_.nowNs();
  checks_.begin(errand);
  watched.errand = std::move(idle_.back());
  idle_.pop_back();
  ++running_;
}

void Monitor::conclude(Watched& watched, const Errand& errand) {
  if (errand.outcome == Probe::Outcome::kSkipped) return putOff(watched, errand.probe.reason());
  if (errand.outcome == Probe::Outcome::kBroken) return blameChecker(watched, errand.probe.reason());
  const bool passed = errand.outcome != Probe::Outcome::kFailed;
  const bool first = !watched.rise_and_fall.checked(), by_connect = errand.checker == nullptr;
  // Of a backend that is down for what it answered a connect says nothing.
  const bool stays_down = by_connect && passed && !first && !watched.backend->healthy() && !watched.unreachable;
  // Told before it is true: what is true and never told would be found by nobody.
  if (!stays_down) checked_.push_back({watched.backend, passed, errand.probe.startedNs()});
  counters_.checks.add();
  if (!passed) counters_.failures.add();
  logCheck(*watched.backend, passed, errand);
  if (!passed) watched.unreachable = !errand.probe.connected();
  if (!stays_down) judge(watched, errand, passed);
  if (!first) return scheduleNext(watched);
  // First checks come close together; the second ones come anywhere within the interval, and so do all that follow.
  schedule(watched, jittered(intervalOf(watched)) * std::uniform_int_distribution(10, 100)(random_) / 100);
}

void Monitor::judge(Watched& watched, const Errand& errand, bool passed) {
  auto& backend = *watched.backend;
  const std::string& reason = errand.probe.reason();
  const bool up = watched.rise_and_fall.observe(passed);
  if (up != backend.healthy()) flipped_.push_back(watched.backend);
  if (errand.checker == nullptr && up && backend.degraded()) return;  // it still is, as far as is known
  if (backend.setHealth(up, passed && !up && reason.empty() ? "recovering" : reason)) logFlip(backend, up, reason);
  if (backend.setDegraded(up && errand.outcome == Probe::Outcome::kDegraded)) logDegraded(backend, reason);
}

/// Connecting takes the place of a checker that is called no more, for as long as there is no other.
void Monitor::lookAtChecker() {
  const bool broken = checker_ != nullptr && checker_->guard().broken();
  if (stands_in_.exchange(broken) == broken) return;
  if (!broken && checker_ != nullptr) log::info("health", "a health checker decides again, not connecting alone");
  if (!broken) return;
  log::error("health",
             "the health checker is called no more: its backends keep their state, and connecting is the check",
             {{"checker", checker_->info().id},
              {"version", checker_->info().version},
              {"file", checker_->info().file},
              {"backends", watched_.size()},
              {"pool", watched_.empty() ? "" : watched_.begin()->first->pool()}});
}

std::uint64_t Monitor::Repeated::happened(std::uint64_t now) noexcept {
  ++unlogged;
  if (logged_ns != 0 && now - logged_ns < static_cast<std::uint64_t>(kRepeatedLogInterval.count())) return 0;
  logged_ns = now;
  return std::exchange(unlogged, 0);
}

void Monitor::putOff(Watched& watched, const std::string& reason) {
  counters_.skipped.add();
  schedule(watched, jittered(std::min(settings_.interval, kPutOff)));
  if (const auto checks = put_off_.happened(clock_.nowNs()); checks != 0)
    log::warning("health", "checks are put off, this host lacks what they need",
                 {{"reason", reason},
                  {"checks", checks},
                  {"backend", watched.backend->id()},
                  {"pool", watched.backend->pool()}});
}

// What was found before stays; of a backend of which something was, connecting tells at once whether it is still there.
void Monitor::blameChecker(Watched& watched, const std::string& reason) {
  counters_.broken.add();
  lookAtChecker();
  watched.by_connect = watched.rise_and_fall.checked();
  watched.by_connect ? schedule(watched, Duration::zero()) : scheduleNext(watched);
  if (const auto checks = broken_.happened(clock_.nowNs()); checks != 0)
    log::error("health", "the health checker failed, which says nothing about the backend",
               {{"checker", checker_->info().id},
                {"version", checker_->info().version},
                {"reason", reason},
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
