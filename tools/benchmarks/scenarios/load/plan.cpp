// SPDX-License-Identifier: MIT
//
// Drawing the plan: see plan.h.
#include "scenarios/load/plan.h"

#include "scenarios/event_loop.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace lemonade::bench {
namespace {

constexpr double kMillisecond = 1e6;  // nanoseconds
constexpr double kNoEnd = 1e9;        // seconds

double exponential(std::mt19937_64& random, double mean) {
  return std::exponential_distribution<double>(1 / mean)(random);
}

std::uint32_t anyAddress(std::mt19937_64& random) {
  return std::uniform_int_distribution<std::uint32_t>(0, kAddresses - 1)(random);
}

// A Poisson process whose rate changes is one of the highest rate of which some arrivals are left out.
void addRequests(const LoadOptions& options, std::vector<Arrival>& plan) {
  std::mt19937_64 random(options.seed);
  std::uniform_real_distribution<double> unit;
  const Work work(options);
  const double highest = options.rate * std::max(1.0, options.crowd_factor);
  for (double at = exponential(random, 1 / highest); at < options.seconds; at += exponential(random, 1 / highest)) {
    const bool crowd = at >= options.crowd_from && at < options.crowd_to;
    const double rate = options.rate * (crowd ? options.crowd_factor : 1);
    if (unit(random) * highest >= rate) continue;
    Arrival arrival;
    arrival.due = static_cast<std::uint64_t>(at * kSecond);
    arrival.address = anyAddress(random);
    arrival.work_ns = work.draw(random, options.work_ms * kMillisecond);
    plan.push_back(arrival);
  }
}

void addSessions(const LoadOptions& options, std::vector<Arrival>& plan) {
  if (options.session_rate <= 0) return;
  std::mt19937_64 random(options.seed + 1);
  std::uniform_real_distribution<double> unit;
  for (double at = exponential(random, 1 / options.session_rate); at < options.seconds;
       at += exponential(random, 1 / options.session_rate)) {
    Arrival arrival;
    arrival.due = static_cast<std::uint64_t>(at * kSecond);
    arrival.address = anyAddress(random);
    arrival.work_ns = options.work_ms * kMillisecond;
    // None outlasts the run.
    const double drawn = exponential(random, options.session_length);
    const double length = std::min(options.session_requests > 0 ? kNoEnd : drawn, options.seconds - at);
    arrival.requests = options.session_requests;
    arrival.length = 1 + static_cast<std::uint64_t>(length * kSecond);
    const bool busy = unit(random) < options.busy_share;
    arrival.gap_ns = (busy ? options.busy_gap_ms : options.quiet_gap_ms) * kMillisecond;
    plan.push_back(arrival);
  }
}

}  // namespace

// A lognormal variable of mean m and variation c has the logarithm's variance ln(1 + c^2) and mean ln m less half of
// it.
double Work::draw(std::mt19937_64& random, double mean_ns) const {
  if (variation_ <= 0) return std::gamma_distribution<double>(shape_, mean_ns / shape_)(random);
  const double variance = std::log1p(variation_ * variation_);
  return std::lognormal_distribution<double>(std::log(mean_ns) - variance / 2, std::sqrt(variance))(random);
}

std::vector<Arrival> makePlan(const LoadOptions& options) {
  std::vector<Arrival> plan;
  addRequests(options, plan);
  addSessions(options, plan);
  std::stable_sort(plan.begin(), plan.end(), [](const Arrival& a, const Arrival& b) { return a.due < b.due; });
  return plan;
}

}  // namespace lemonade::bench
