// SPDX-License-Identifier: MIT
#include "health/outliers.h"

#include "balance/feedback.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

namespace lemonade::health {

namespace {

constexpr std::uint64_t kWindowNs = 2'000'000'000;
constexpr std::uint64_t kLongestWindowNs = 60'000'000'000;  // of one that has few clients
constexpr std::uint32_t kEnoughToJudge = 20;                // clients, or answers, in a window
constexpr std::uint32_t kFewestFailures = 5;
constexpr double kBeyondChance = 4;  // standard deviations
constexpr double kLongQuantile = 0.95;
constexpr std::uint32_t kEnoughToAcquit = 30;
constexpr double kSlowShare = 0.1;
constexpr std::uint32_t kMostRests = 30;
constexpr std::uint64_t kDrainNs = 1'000'000'000;  // of a trial: the queue that it was suspected for is another matter
// A queue that is long by chance is so for a while: in one window one must be so many times slower than that is asked
// for.
constexpr double kBeyondQueues = 2;

Histogram::Sum answersOf(const Backend& backend) {
  Histogram::Sum sum;
  backend.forEachCounters([&](const BackendCounters& counters) { sum.add(counters.exchange_time); });
  return sum;
}

/// What came since. A counter never goes back, but is read while others write it.
Histogram::Sum since(const Histogram::Sum& before, const Histogram::Sum& now) {
  Histogram::Sum sum;
  for (std::size_t i = 0; i < sum.buckets.size(); ++i)
    sum.count += sum.buckets[i] = std::max(now.buckets[i], before.buckets[i]) - before.buckets[i];
  return sum;
}

/// Of two in the middle the lower: among two backends the better one says what is usual. 0 where there is none.
double usualValue(std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void Outliers::configure(const OutlierSettings& settings) {
  settings_ = settings;
  if (!settings.on()) return cases_.clear();
  for (auto& [backend, its] : cases_) {
    const bool off = its.suspected_of == Kind::kFailing ? settings.failing_share == 0 : settings.slow_factor == 0;
    if (off) its.suspected_of = Kind::kNone;
  }
}

void Outliers::look(const View::Backends& backends, std::uint64_t now, std::size_t places) {
  if (!on() || now < judged_ns_ + kWindowNs) return;
  judged_ns_ = now;
  std::vector<Looked> looked;
  for (const auto& backend : backends) {
    if (!backend->inService() || !backend->fit()) continue;
    Case& its = cases_[backend.get()];
    if (auto window = windowOf(*backend, its, now)) looked.push_back({backend.get(), &its, *window});
  }
  usual_ = usualOf(looked);
  for (auto& one : looked) {
    Case& its = *one.its;
    if (its.suspected_of != Kind::kNone || its.rest.until_ns > now) continue;
    const Kind kind = standsOut(one.window, its.slow_before);
    its.slow_before = standsOutBy(one.window, settings_.slow_factor);
    if (kind == Kind::kNone) {
      if (!its.slow_before) its.rest.acquittals = 0;
    } else if (places != 0 && (kind != Kind::kSlow || slow_rest_.until_ns <= now)) {
      --places;
      suspect(its, kind, now);
    }
  }
}

/// None while it has seen too few to say anything; then it goes on.
std::optional<Outliers::Window> Outliers::windowOf(const Backend& backend, Case& its, std::uint64_t now) const {
  const bool with_answers = settings_.slow_factor > 0;
  Window window{
      lemonade_load_u32(&backend.stats().picks) - its.clients, feedback::failures(backend) - its.failures, {}};
  if (with_answers) window.answers = since(its.answers, answersOf(backend));
  const bool known = its.began_ns != 0;
  const bool enough = std::max<std::uint64_t>(window.clients, window.answers.count) >= kEnoughToJudge;
  if (known && !enough && now < its.began_ns + kLongestWindowNs) return std::nullopt;
  begin(backend, its, now, with_answers);
  if (!known || !enough) return std::nullopt;
  if (window.answers.count >= kEnoughToJudge) window.answer_ns = window.answers.quantile(0.5);
  // One that is so far behind that its clients have left answers none that anybody waits for.
  if (with_answers && lemonade_load_u32(&backend.stats().waiting) >= kEnoughToJudge)
    window.answer_ns = std::max(window.answer_ns, static_cast<double>(lemonade_mean_wait_ns(&backend.stats(), now)));
  return window;
}

void Outliers::begin(const Backend& backend, Case& its, std::uint64_t now, bool with_answers) {
  its.began_ns = now;
  its.clients = lemonade_load_u32(&backend.stats().picks);
  its.failures = feedback::failures(backend);
  if (with_answers) its.answers = answersOf(backend);
}

Outliers::Usual Outliers::usualOf(std::vector<Looked>& looked) {
  std::vector<double> failing, answers, long_answers;
  for (const auto& [backend, its, window] : looked) {
    if (window.clients >= kEnoughToJudge) failing.push_back(static_cast<double>(window.failures) / window.clients);
    if (window.answers.count < kEnoughToJudge) continue;
    answers.push_back(window.answer_ns);
    long_answers.push_back(window.answers.quantile(kLongQuantile));
  }
  // Nobody stands out from himself.
  if (failing.size() < 2) failing.assign(1, 1);
  if (answers.size() < 2) answers.clear(), long_answers.clear();
  return {usualValue(failing), usualValue(answers), usualValue(long_answers)};
}

bool Outliers::standsOutBy(const Window& window, double factor) const noexcept {
  return settings_.slow_factor > 0 && usual_.answer_ns > 0 && window.answer_ns >= factor * usual_.answer_ns;
}

Outliers::Kind Outliers::standsOut(const Window& window, bool slow_before) const noexcept {
  const double clients = window.clients, failures = window.failures;
  const double expected = clients * usual_.failing;
  if (settings_.failing_share > 0 && window.clients >= kEnoughToJudge && window.failures >= kFewestFailures &&
      failures >= settings_.failing_share * clients &&
      failures > expected + kBeyondChance * std::sqrt(expected * (1 - usual_.failing)))
    return Kind::kFailing;
  return standsOutBy(window, settings_.slow_factor * (slow_before ? 1 : kBeyondQueues)) ? Kind::kSlow : Kind::kNone;
}

std::uint64_t Outliers::slowNow() const noexcept {
  return static_cast<std::uint64_t>(std::max(usual_.long_answer_ns, settings_.slow_factor * usual_.answer_ns));
}

void Outliers::suspect(Case& its, Kind kind, std::uint64_t now) const noexcept {
  its.suspected_of = kind;
  its.slow_before = false;
  its.seen = its.here = its.elsewhere = 0;
  its.slow_ns = kind == Kind::kSlow ? slowNow() : 0;
  its.counts_from_ns = kind == Kind::kSlow ? now + kDrainNs : 0;
}

void Outliers::Rest::begin(std::uint64_t now, Duration each) noexcept {
  acquittals = std::min(acquittals + 1, kMostRests);
  until_ns = now + acquittals * static_cast<std::uint64_t>(each.count());
}

void Outliers::acquit(Case& its, std::uint64_t now) noexcept {
  its.rest.begin(now, settings_.rest);
  if (its.suspected_of == Kind::kSlow) slow_rest_.begin(now, settings_.rest);
  its.suspected_of = its.convicted_of = Kind::kNone;
}

bool Outliers::suspects(const Backend& backend) const noexcept {
  const auto found = cases_.find(&backend);
  return found != cases_.end() && found->second.suspected_of != Kind::kNone;
}

std::uint64_t Outliers::slowNs(const Backend& backend) const noexcept {
  const auto found = cases_.find(&backend);
  return found != cases_.end() ? found->second.slow_ns : 0;
}

std::optional<std::string> Outliers::weigh(const Backend& backend, const Trial::Outcomes& outcomes, std::uint64_t now) {
  const auto found = cases_.find(&backend);
  if (found == cases_.end() || found->second.suspected_of == Kind::kNone) return std::nullopt;
  Case& its = found->second;
  if (now < its.counts_from_ns) return std::nullopt;
  const bool slow = its.suspected_of == Kind::kSlow;
  its.here += slow ? outcomes.slow_here : outcomes.failed_here;
  its.elsewhere += slow ? outcomes.slow_elsewhere : outcomes.failed_elsewhere;
  its.seen += outcomes.answered_here + (slow ? 0 : outcomes.failed_here);
  const int points = static_cast<int>(its.here) - static_cast<int>(its.elsewhere);
  const bool quick = slow && its.seen >= kEnoughToAcquit && its.here < kSlowShare * its.seen;
  if (points <= -kEnough || (points < kEnough && (quick || its.seen >= kMostAnswers))) acquit(its, now);
  if (points < kEnough) return std::nullopt;
  its.convicted_of = std::exchange(its.suspected_of, Kind::kNone);
  its.rest = {};
  if (slow) slow_rest_ = {};
  char text[160];
  if (slow)
    std::snprintf(text, sizeof(text),
                  "stands out: %u clients waited longer than %.1fms for their answer, and %u of those sent elsewhere",
                  its.here, static_cast<double>(its.slow_ns) / 1e6, its.elsewhere);
  else
    std::snprintf(text, sizeof(text), "stands out: %u clients failed, and %u of those sent elsewhere", its.here,
                  its.elsewhere);
  return text;
}

void Outliers::comesBack(const Backend& backend, std::uint64_t now) {
  const auto found = cases_.find(&backend);
  if (found == cases_.end() || found->second.convicted_of == Kind::kNone) return;
  Case& its = found->second;
  begin(backend, its, now, settings_.slow_factor > 0);
  const std::uint64_t slow_ns = its.slow_ns;
  suspect(its, std::exchange(its.convicted_of, Kind::kNone), now);
  if (its.suspected_of == Kind::kSlow && usual_.answer_ns == 0) its.slow_ns = slow_ns;
}

void Outliers::forget(const Backend& backend) noexcept {
  const auto found = cases_.find(&backend);
  if (found == cases_.end()) return;
  found->second.suspected_of = found->second.convicted_of = Kind::kNone;
  found->second.rest = {};
}

}  // namespace lemonade::health
