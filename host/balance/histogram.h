// SPDX-License-Identifier: MIT
//
// A histogram of durations with decimal buckets, ten to the decade from 10 us to 100 s: percentiles are true to a few
// per cent, and every bound that Prometheus is shown is a bound here too. One writer, any reader, no lock.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <limits>

namespace lemonade {

namespace detail {
inline constexpr std::array<std::uint64_t, 10> kSteps = {10, 12, 15, 20, 25, 30, 40, 50, 60, 80};
inline constexpr std::size_t kDecades = 7;

constexpr auto makeBounds() {
  std::array<std::uint64_t, kSteps.size() * kDecades + 1> bounds{};
  std::uint64_t unit = 1'000;  // 10 steps of it are 10 us
  std::size_t i = 0;
  for (std::size_t decade = 0; decade < kDecades; ++decade, unit *= 10)
    for (const auto step : kSteps) bounds[i++] = step * unit;
  bounds[i] = 10 * unit;
  return bounds;
}
}  // namespace detail

/// Durations in nanoseconds, counted in buckets.
class Histogram {
 public:
  /// Inclusive upper bounds of the buckets, ascending, in nanoseconds; one more bucket takes what is above the last.
  static constexpr auto kBounds = detail::makeBounds();
  static constexpr std::size_t kBuckets = kBounds.size() + 1;

  /// A copy of the counts; adds up over workers and over backends, in any order, since all have the same bounds.
  struct Sum {
    std::array<std::uint64_t, kBuckets> buckets{};
    std::uint64_t count = 0;
    std::uint64_t sum_ns = 0;

    bool operator==(const Sum&) const noexcept = default;

    void add(const Sum& other) noexcept {
      for (std::size_t i = 0; i < kBuckets; ++i) buckets[i] += other.buckets[i];
      count += other.count;
      sum_ns += other.sum_ns;
    }
    void add(const Histogram& histogram) noexcept { add(histogram.sum()); }

    /// The duration, in nanoseconds, that a share of all samples (0 to 1) does not exceed; 0 without samples. Linear
    /// within the bucket.
    double quantile(double share) const noexcept {
      const double rank = share * static_cast<double>(count);
      std::uint64_t below = 0;
      for (std::size_t i = 0; i < kBuckets; ++i) {
        if (buckets[i] == 0) continue;
        if (static_cast<double>(below + buckets[i]) >= rank) {
          const double lower = i == 0 ? 0 : static_cast<double>(kBounds[i - 1]);
          if (i == kBounds.size()) return lower;
          const double upper = static_cast<double>(kBounds[i]);
          return lower +
                 (upper - lower) * std::max(0.0, rank - static_cast<double>(below)) / static_cast<double>(buckets[i]);
        }
        below += buckets[i];
      }
      return 0;
    }
  };

  /// Counts one duration. The one writing thread.
  void record(std::uint64_t ns) noexcept {
    const auto bucket =
        static_cast<std::size_t>(std::lower_bound(kBounds.begin(), kBounds.end(), ns) - kBounds.begin());
    bump(buckets_[bucket], 1);
    bump(sum_ns_, ns);
  }

  /// What it has counted so far.
  Sum sum() const noexcept {
    Sum sum;
    for (std::size_t i = 0; i < kBuckets; ++i) sum.count += sum.buckets[i] = bucket(i);
    sum.sum_ns = sumNs();
    return sum;
  }
  /// Makes it one that has counted this. The one writing thread.
  void set(const Sum& sum) noexcept {
    for (std::size_t i = 0; i < kBuckets; ++i) setBucket(i, sum.buckets[i]);
    setSumNs(sum.sum_ns);
  }

  // One cell at a time, for what stores whole histograms. Setting: the one writing thread.
  std::uint64_t bucket(std::size_t i) const noexcept { return buckets_[i].load(std::memory_order_relaxed); }
  void setBucket(std::size_t i, std::uint64_t count) noexcept { buckets_[i].store(count, std::memory_order_relaxed); }
  std::uint64_t sumNs() const noexcept { return sum_ns_.load(std::memory_order_relaxed); }
  void setSumNs(std::uint64_t sum_ns) noexcept { sum_ns_.store(sum_ns, std::memory_order_relaxed); }

 private:
  static void bump(std::atomic<std::uint64_t>& cell, std::uint64_t amount) noexcept {
    cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> sum_ns_{0};
};

}  // namespace lemonade
