// SPDX-License-Identifier: MIT
#include "start_times.h"

#include <utility>

namespace lemonade::otlp {

namespace {

/// Whether the process took over from another, and counts on where that one was.
bool continues(const sdk::Snapshot& snapshot) {
  for (std::uint32_t f = 0; f < snapshot.size(); ++f) {
    const auto family = snapshot[f];
    if (family.name() != "lemonade_upgrades_total") continue;
    for (std::uint32_t i = 0; i < family.size(); ++i)
      for (const auto& label : sdk::labels(family[i]))
        if (sdk::view(label.value) == "completed" && family[i].value > 0) return true;
  }
  return false;
}

}  // namespace

void StartTimes::begin(const sdk::Snapshot& snapshot) {
  const auto& raw = snapshot.raw();
  before_ = std::exchange(now_, {});
  before_ns_ = std::exchange(time_ns_, raw.unix_ns);
  if (before_ns_ != 0) return;
  first_start_ns_ = continues(snapshot) || raw.uptime_ns > raw.unix_ns ? raw.unix_ns : raw.unix_ns - raw.uptime_ns;
}

std::uint64_t StartTimes::of(const lemonade_series_t& series) {
  const double number = series.bucket_count > 0 ? static_cast<double>(series.count) : series.value;
  const auto old = before_.find(series.id);
  std::uint64_t start_ns = before_ns_ == 0 ? first_start_ns_ : before_ns_;
  if (old != before_.end() && old->second.number <= number) start_ns = old->second.start_ns;
  now_.insert_or_assign(series.id, Seen{start_ns, number});
  return start_ns;
}

}  // namespace lemonade::otlp
