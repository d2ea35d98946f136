// SPDX-License-Identifier: MIT
#include "health/ejector.h"

#include "balance/feedback.h"
#include "base/log.h"
#include "health/evidence.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace lemonade::health {

namespace {

using namespace std::chrono_literals;

constexpr Duration kLook = 250ms;  // for hanging backends
constexpr std::uint64_t kLookNs = 250'000'000;
constexpr std::uint64_t kFarLonger = 10;  // than answers take: that many times
constexpr std::uint64_t kFadeNs = 30'000'000'000;

const char* wordsFor(Backend::Failure failure) noexcept {
  switch (failure) {
    case Backend::Failure::kNone:
      break;
    case Backend::Failure::kRefused:
      return "connection refused";
    case Backend::Failure::kTimeout:
      return "connect timed out";
    case Backend::Failure::kConnectError:
      return "cannot be reached";
    case Backend::Failure::kReset:
      return "reset before it answered";
    case Backend::Failure::kClosed:
      return "closed before it answered";
  }
  return "failed";
}

std::string seconds(std::uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1fs", static_cast<double>(ns) / 1e9);
  return text;
}

std::uint64_t exchangeNs(const Backend& backend) noexcept {
  return static_cast<std::uint64_t>(lemonade_load_f64(&backend.stats().exchange_ewma_ns));
}

/// The median of what answers take, over the backends that answer; 0 where none does.
std::uint64_t medianExchangeNs(const View::Backends& backends) {
  std::vector<std::uint64_t> times;
  for (const auto& backend : backends)
    if (const std::uint64_t time = exchangeNs(*backend); time != 0 && backend->inService()) times.push_back(time);
  if (times.empty()) return 0;
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

void logFlip(const Backend& backend, log::Level level, const char* message, const char* key, const std::string& value,
             const std::string& reason) {
  log::write(level, "health", message,
             {{"backend", backend.id()},
              {"name", backend.settings().name},
              {"address", backend.addressText()},
              {"reason", reason},
              {key, value},
              {"pool", backend.pool()}});
}

}  // namespace

struct Ejector::Record {
  std::shared_ptr<Backend> backend;
  std::uint32_t in_a_row = 0;            // ejections
  std::uint64_t ejected_ns = 0;          // the last time; monotonic
  std::uint64_t until_ns = 0;            // when it ends at the latest
  std::uint64_t returned_ns = 0;         // from it; 0: never, or it is out
  bool trusted = false;                  // when it returned: by its checks, not by time
  ControlLoop::TimerId timer = 0;        // of the return
  bool checks_decide = false;            // whether it returns before its time
  std::uint64_t checked_against_ns = 0;  // the newest failure when the last check was heard of
  std::uint32_t passed = 0;              // checks in a row, begun since then
  Evidence evidence;                     // of its trial

  /// Begins anew as one of which nothing is known.
  void forgetDoubts() {
    (void)backend->takeOutcomes(0);
    backend->setSuspected(false);
    evidence.forget();
    feedback::setDoubts(*backend, 0);
    feedback::forgetUnanswered(*backend);
  }
  /// Back from an ejection by time, and without an answer since.
  bool onProbation() const noexcept {
    return returned_ns != 0 && !trusted && feedback::answeredAtNs(*backend) < returned_ns;
  }
};

/// How many backends there are to eject from, at one moment.
struct Ejector::Census {
  std::size_t in_service = 0;
  std::size_t fit = 0;
  std::size_t ejected = 0;
  std::size_t outliers = 0;  // on trial

  std::size_t most(double max_share) const noexcept {
    return std::max<std::size_t>(1, static_cast<std::size_t>(max_share * static_cast<double>(in_service)));
  }
  bool allowsOneMore(double max_share) const noexcept { return ejected < most(max_share) && fit > 1; }
  /// Backends that may be put on trial as outliers: as many as could be ejected.
  std::size_t placesForOutliers(double max_share) const noexcept {
    const std::size_t taken = ejected + outliers, places = most(max_share);
    return taken < places && outliers + 1 < fit ? std::min(places - taken, fit - outliers - 1) : 0;
  }
};

Ejector::Ejector(ControlLoop& loop, Pool& pool, OnFlip on_flip)
    : loop_(loop),
      clock_(loop.clock()),
      pool_(pool),
      on_flip_(std::move(on_flip)),
      suspicions_(ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
  pool_.onSuspicion([fd = suspicions_.get()] { (void)::eventfd_write(fd, 1); });
  loop_.watch(suspicions_.get(), [this] { onSuspicion(); });
}

Ejector::~Ejector() { stop(); }

void Ejector::configure(const EjectionSettings& settings) {
  const bool was_enabled = settings_.enabled;
  settings_ = settings;
  pool_.setSuspicious(settings.enabled ? settings.consecutive_failures : 0);
  outliers_.configure(settings.enabled
                          ? OutlierSettings{settings.failing_share, settings.slow_factor, settings.base_time}
                          : OutlierSettings{});
  loop_.cancel(std::exchange(looking_, 0));
  if (settings.enabled) {
    if (!was_enabled)
      for (const auto& [backend, record] : records_) record->forgetDoubts();
    looking_ = loop_.every(kLook, [this] { look(); });
    return;
  }
  for (const auto& [backend, record] : records_) {
    if (record->backend->ejected()) letBack(*record, "ejection is disabled", false);
    record->forgetDoubts();
  }
}

void Ejector::setBackends(const std::vector<std::shared_ptr<Backend>>& backends) {
  auto before = std::exchange(records_, {});
  for (const auto& backend : backends) {
    auto& record = records_[backend.get()];
    if (record != nullptr) continue;
    if (const auto known = before.find(backend.get()); known != before.end()) {
      record = std::move(known->second);
    } else {
      record = std::make_unique<Record>();
      record->backend = backend;
      // It may have been here before: what it did since nobody judged it is void.
      (void)backend->takeSuspicion();
      record->forgetDoubts();
    }
  }
  for (const auto& [backend, record] : before) {
    if (record == nullptr) continue;
    loop_.cancel(record->timer);
    outliers_.remove(*record->backend);
    // Should it come back while it drains, nobody would let it in again.
    record->backend->setEjected(false, "");
    record->backend->setSuspected(false);
  }
}

bool Ejector::forgive(Backend& backend) {
  const auto found = records_.find(&backend);
  if (found == records_.end()) return false;
  found->second->in_a_row = 0;
  feedback::forgetFailures(backend);
  found->second->forgetDoubts();
  outliers_.forget(backend);
  if (!backend.ejected()) return false;
  letBack(*found->second, "its checks pass again", true);
  return true;
}

void Ejector::heardCheck(Backend& backend, bool passed, std::uint64_t began_ns) {
  const auto found = records_.find(&backend);
  if (found == records_.end()) return;
  Record& record = *found->second;
  const std::uint64_t failed_ns = lemonade_load_u64(&backend.stats().failed_at_ns);
  if (!passed || std::exchange(record.checked_against_ns, failed_ns) != failed_ns) record.passed = 0;
  if (!passed || began_ns < failed_ns || ++record.passed < settings_.rise) return;
  if (backend.ejected()) {
    if (!record.checks_decide) return;
    letBack(record, "its checks pass", true);
  } else if (lemonade_load_u32(&backend.stats().fail_streak) != 0 && !record.onProbation()) {
    feedback::forgetFailures(backend);
  }
}

Ejector::Standing Ejector::standing(const Backend& backend) const {
  const auto found = records_.find(&backend);
  if (found == records_.end()) return {};
  const Record& record = *found->second;
  return {backend.ejected(),  backend.ejectionReason(), record.ejected_ns, record.until_ns,
          record.returned_ns, record.in_a_row,          record.trusted,    record.checks_decide};
}

void Ejector::resume(Backend& backend, const Standing& standing) {
  const auto found = records_.find(&backend);
  if (found == records_.end()) return;
  Record& record = *found->second;
  record.ejected_ns = standing.ejected_ns;
  record.until_ns = standing.until_ns;
  record.returned_ns = standing.returned_ns;
  record.in_a_row = standing.in_a_row;
  record.trusted = standing.trusted;
  record.checks_decide = standing.checks_decide;
  if (!standing.ejected) return;
  loop_.cancel(record.timer);
  const std::uint64_t now = clock_.nowNs();
  letBackAfter(record, Duration(static_cast<Duration::rep>(standing.until_ns > now ? standing.until_ns - now : 0)));
  backend.setEjected(true, standing.reason);
}

void Ejector::stop() {
  for (const auto& [backend, record] : records_) loop_.cancel(record->timer);
  records_.clear();
  loop_.cancel(std::exchange(looking_, 0));
  loop_.unwatch(suspicions_.get());
}

void Ejector::onSuspicion() {
  eventfd_t ignored;
  (void)::eventfd_read(suspicions_.get(), &ignored);
  const std::uint64_t now = clock_.nowNs();
  auto census = count();
  for (const auto& [key, record] : records_) {
    if (!record->backend->takeSuspicion()) continue;
    judgeConnects(*record, census);
    judgeSessions(*record, now, census);
  }
}

void Ejector::look() {
  const std::uint64_t now = clock_.nowNs();
  usual_ns_ = medianExchangeNs(*pool_.backends());
  const bool fades = now - faded_ns_ > kFadeNs;
  if (fades) faded_ns_ = now;
  auto census = count();
  outliers_.look(*pool_.backends(), now, census.placesForOutliers(settings_.max_share));
  for (const auto& [key, record] : records_) {
    if (fades) record->evidence.fade();
    judgeSessions(*record, now, census);
  }
}

void Ejector::judgeConnects(Record& record, Census& census) {
  const std::uint32_t failures = lemonade_load_u32(&record.backend->stats().fail_streak);
  if (failures < settings_.consecutive_failures) return;
  const char* const how_many = failures == 1 ? " failure: " : " failures in a row: ";
  eject(record, std::to_string(failures) + how_many + wordsFor(record.backend->lastFailure()), true, census);
}

// Whether it is put on trial, or goes on with it.
bool Ejector::isSuspect(const Record& record, std::uint64_t now) const noexcept {
  if (outliers_.suspects(*record.backend)) return true;
  if (feedback::doubts(*record.backend) >= settings_.consecutive_failures) return true;
  const auto [count, since] = feedback::unanswered(*record.backend);
  return usual_ns_ != 0 && count >= settings_.consecutive_failures &&
         now > since + std::max({kLookNs, kFarLonger * usual_ns_, kFarLonger * exchangeNs(*record.backend)});
}

void Ejector::judgeSessions(Record& record, std::uint64_t now, Census& census) {
  Backend& backend = *record.backend;
  // What was before it was taken out says nothing about how it is when it comes back.
  if (!backend.inService() || !backend.fit()) return record.forgetDoubts();
  const std::uint64_t late = std::max({static_cast<std::uint64_t>(settings_.unanswered_timeout.count()),
                                       kFarLonger * usual_ns_, kFarLonger * exchangeNs(backend)});
  const auto outcomes = backend.takeOutcomes(usual_ns_ != 0 ? now - late : 0, outliers_.slowSinceNs(backend, now));
  record.evidence.add(outcomes);
  if (record.evidence.convicts()) {
    const auto& [failed, answered] = std::pair(record.evidence.failedHere(), record.evidence.answeredElsewhere());
    const auto [owed, since] = feedback::unanswered(backend);
    const std::string what =
        feedback::doubts(backend) != 0
            ? std::to_string(failed) + " failures in a row: " + wordsFor(backend.lastFailure())
            : "owes " + std::to_string(owed) + " answers and gave none for " + seconds(now - since);
    feedback::convicted(backend, now);
    eject(record, what + ", while " + std::to_string(answered) + " sent elsewhere were answered", false, census);
    if (backend.ejected()) return record.forgetDoubts();
  }
  if (const auto reason = outliers_.weigh(backend, outcomes, now)) eject(record, *reason, false, census);
  if (backend.ejected()) return record.forgetDoubts();
  backend.setSuspected(settings_.enabled && isSuspect(record, now), outliers_.slowNs(backend));
}

Ejector::Census Ejector::count() const {
  Census census;
  for (const auto& [key, record] : records_) {
    if (!record->backend->inService()) continue;
    ++census.in_service;
    census.fit += record->backend->fit();
    census.ejected += record->backend->ejected();
    census.outliers += record->backend->fit() && outliers_.suspects(*record->backend);
  }
  return census;
}

void Ejector::eject(Record& record, const std::string& reason, bool shows_in_checks, Census& census) {
  Backend& backend = *record.backend;
  if (!settings_.enabled || !backend.inService() || !backend.fit()) return;
  if (!census.allowsOneMore(settings_.max_share)) return;
  --census.fit;
  ++census.ejected;
  const std::uint64_t now = clock_.nowNs();
  const auto base = static_cast<std::uint64_t>(settings_.base_time.count());
  const bool in_peace = record.returned_ns != 0 && !record.onProbation();
  const std::uint64_t redeemed = in_peace ? (now - record.returned_ns) / base : 0;
  record.in_a_row -= static_cast<std::uint32_t>(std::min<std::uint64_t>(record.in_a_row, redeemed));
  const Duration time = std::min<Duration>(settings_.base_time * ++record.in_a_row, settings_.max_time);
  record.ejected_ns = now;
  record.returned_ns = 0;
  record.checks_decide = shows_in_checks && record.in_a_row == 1;
  record.until_ns = now + static_cast<std::uint64_t>(time.count());
  letBackAfter(record, time);
  ejections_.add();
  backend.setEjected(true, reason);
  logFlip(backend, log::Level::kWarning, "backend is ejected", "for", seconds(static_cast<std::uint64_t>(time.count())),
          reason);
  on_flip_(record.backend);
}

void Ejector::letBackAfter(Record& record, Duration time) {
  record.timer = loop_.after(time, [this, &record] { letBack(record, "on probation", false); });
}

void Ejector::letBack(Record& record, const char* why, bool trusted) {
  Backend& backend = *record.backend;
  loop_.cancel(std::exchange(record.timer, 0));
  record.returned_ns = clock_.nowNs();
  record.trusted = trusted;
  record.forgetDoubts();
  // On probation one connect that fails is enough, whatever it was ejected for, and it is on trial from the start.
  if (trusted) {
    feedback::forgetFailures(backend);
    outliers_.forget(backend);
  } else {
    feedback::setFailStreak(backend, settings_.consecutive_failures - 1);
    feedback::setDoubts(backend, settings_.consecutive_failures);
    outliers_.comesBack(backend, record.returned_ns);
    backend.setSuspected(settings_.enabled, outliers_.slowNs(backend));
  }
  backend.setEjected(false, "");
  if (!backend.healthy()) return;  // for everybody else it is down, before and after
  logFlip(backend, log::Level::kInfo, "backend is back from ejection", "after",
          seconds(record.returned_ns - record.ejected_ns), why);
  on_flip_(record.backend);
}

}  // namespace lemonade::health
