// SPDX-License-Identifier: MIT
#include "intervals.h"

#include <cmath>
#include <utility>

namespace lemonade::statsd {

double Samples::end(std::size_t bucket) const noexcept {
  if (std::isfinite(uppers[bucket])) return uppers[bucket];
  return bucket == 0 ? 0 : uppers[bucket - 1];
}

double Samples::quantile(double share) const noexcept {
  const double rank = share * total;
  double below = 0;
  double lower = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0 && below + counts[i] >= rank) return lower + (end(i) - lower) * (rank - below) / counts[i];
    below += counts[i];
    lower = end(i);
  }
  return 0;
}

void Intervals::begin() {
  before_ = std::exchange(now_, {});
  ++snapshots_;
}

double Intervals::growth(const lemonade_series_t& series) { return since(series.id, 0, series.value); }

Samples Intervals::samples(const lemonade_series_t& series) {
  Samples samples;
  std::uint64_t below = 0;
  for (const auto& bucket : sdk::buckets(series)) {
    const auto inside = static_cast<double>(bucket.cumulative - std::exchange(below, bucket.cumulative));
    samples.counts.push_back(since(series.id, samples.uppers.size(), inside));
    samples.uppers.push_back(bucket.upper);
    samples.total += samples.counts.back();
  }
  return samples;
}

double Intervals::since(std::uint64_t id, std::size_t index, double now) {
  now_[id].push_back(now);
  if (snapshots_ <= 1) return 0;
  const auto old = before_.find(id);
  if (old == before_.end() || old->second.size() <= index) return now;
  const double then = old->second[index];
  return then > now ? now : now - then;
}

}  // namespace lemonade::statsd
