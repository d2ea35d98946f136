// SPDX-License-Identifier: MIT
#include "app/probation.h"

#include "balance/pool.h"

#include <algorithm>
#include <cstdio>

namespace lemonade::app {

namespace {

constexpr double kMostUnusable = 0.01;
constexpr double kMostDeclined = 0.05;
constexpr double kTimes = 10;
constexpr double kPercentile = 0.99;
constexpr std::uint64_t kTimedToCompare = 20;

double share(std::uint64_t part, std::uint64_t whole) noexcept {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

template <class... Values>
std::string text(const char* format, Values... values) {
  char line[200];
  (void)std::snprintf(line, sizeof(line), format, values...);
  return line;
}

}  // namespace

PickFacts PickFacts::operator-(const PickFacts& before) const noexcept {
  PickFacts since{picks - before.picks, unusable - before.unusable, declined - before.declined, times};
  for (std::size_t i = 0; i < since.times.buckets.size(); ++i) since.times.buckets[i] -= before.times.buckets[i];
  since.times.count -= before.times.count;
  since.times.sum_ns -= before.times.sum_ns;
  return since;
}

PickFacts PickFacts::operator+(const PickFacts& more) const noexcept {
  PickFacts all{picks + more.picks, unusable + more.unusable, declined + more.declined, times};
  all.times.add(more.times);
  return all;
}

PickFacts pickFactsOf(const Pool& pool) {
  PickFacts facts;
  pool.forEachWorker([&](const PoolAtWorker& at) {
    facts.picks += at.counters.clients.value() + at.counters.retries.value();
    facts.unusable += at.counters.invalid_picks.value();
    facts.declined += at.declined_picks.value();
    facts.times.add(at.pick_time);
  });
  return facts;
}

std::uint32_t believedOneIn(const PickFacts& before) noexcept {
  const double most = std::max(kMostDeclined, kTimes * share(before.declined, before.picks));
  return most < 1 ? static_cast<std::uint32_t>(1 / most) : 0;
}

std::string judge(const PickFacts& before, const PickFacts& now) {
  const std::uint64_t picks = now.times.count;
  if (picks < kPicksToJudge) return "";
  const auto all = static_cast<unsigned long long>(picks);
  if (const double unusable = share(now.unusable, picks); unusable > kMostUnusable)
    return text("%.1f %% of %llu picks could not be used, more than 1 %%", 100 * unusable, all);
  const double declined = share(now.declined, picks), declined_before = share(before.declined, before.picks);
  if (declined > kMostDeclined && declined > kTimes * declined_before)
    return text("%.1f %% of %llu picks gave no backend though there was one, after %.1f %%", 100 * declined, all,
                100 * declined_before);
  if (before.times.count < kTimedToCompare) return "";
  const double slow = now.times.quantile(kPercentile), slow_before = before.times.quantile(kPercentile);
  if (slow > kTimes * slow_before)
    return text("the 99th percentile of %llu picks took %.0f us, after %.0f us", all, slow / 1e3, slow_before / 1e3);
  return "";
}

}  // namespace lemonade::app
