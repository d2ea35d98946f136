// SPDX-License-Identifier: MIT
//
// Counting and writing: see record.h.
#include "scenarios/load/record.h"

#include <algorithm>
#include <cmath>

namespace lemonade::bench {

double percentileMs(std::vector<std::uint64_t> values_ns, double share) {
  if (values_ns.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(values_ns.size()));
  const auto at = values_ns.begin() + std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(rank) - 1, 0);
  std::nth_element(values_ns.begin(), at, values_ns.end());
  return static_cast<double>(*at) / 1e6;
}

void Record::add(Outcome outcome, std::uint64_t due_ns, std::uint64_t latency_ns, std::size_t backend) {
  ++outcomes_[static_cast<std::size_t>(outcome)];
  const std::size_t second = due_ns / 1'000'000'000;
  if (second >= seconds_.size()) seconds_.resize(second + 1);
  if (outcome == Outcome::kAnswered) {
    answered_ns_.push_back(latency_ns);
    if (backend < answered_by_.size()) ++answered_by_[backend];
  } else {
    latency_ns = limit_ns_;
    ++seconds_[second].errors;
  }
  latencies_ns_.push_back(latency_ns);
  seconds_[second].latencies_ns.push_back(latency_ns);
}

void Record::write(std::ostream& to) const {
  static constexpr const char* kNames[kOutcomes] = {"answered", "refused", "reset", "closed_early", "timeout"};
  to << '{';
  for (std::size_t i = 0; i < kOutcomes; ++i) to << '"' << kNames[i] << "\":" << outcomes_[i] << ',';
  for (const auto& [name, share] : {std::pair{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}})
    to << '"' << name << "_ms\":" << percentileMs(latencies_ns_, share) << ',';
  to << "\"answered_p99_ms\":" << percentileMs(answered_ns_, 0.99) << ",\"answered_by\":[";
  for (std::size_t i = 0; i < answered_by_.size(); ++i) to << (i ? "," : "") << answered_by_[i];
  to << "],\"by_second\":[";
  for (std::size_t i = 0; i < seconds_.size(); ++i) {
    to << (i ? "," : "") << "{\"requests\":" << seconds_[i].latencies_ns.size() << ",\"errors\":" << seconds_[i].errors
       << ",\"p99_ms\":" << percentileMs(seconds_[i].latencies_ns, 0.99) << '}';
  }
  to << "]}";
}

}  // namespace lemonade::bench
