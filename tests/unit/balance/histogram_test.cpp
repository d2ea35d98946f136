// SPDX-License-Identifier: MIT
#include "balance/histogram.h"

#include <catch2/catch.hpp>

using lemonade::Histogram;

namespace {

Histogram::Sum sumOf(const Histogram& histogram) {
  Histogram::Sum sum;
  sum.add(histogram);
  return sum;
}

}  // namespace

TEST_CASE("Histogram has ten bounds to the decade from 10 us to 100 s", "[balance]") {
  CHECK(Histogram::kBounds.front() == 10'000);
  CHECK(Histogram::kBounds[10] == 100'000);
  CHECK(Histogram::kBounds.back() == 100'000'000'000);
  CHECK(std::is_sorted(Histogram::kBounds.begin(), Histogram::kBounds.end()));
}

TEST_CASE("Histogram counts a duration that equals a bound below that bound", "[balance]") {
  Histogram histogram;
  histogram.record(100'000);
  histogram.record(100'001);
  const auto sum = sumOf(histogram);
  CHECK(sum.buckets[10] == 1);
  CHECK(sum.buckets[11] == 1);
  CHECK(sum.sum_ns == 200'001);
}

TEST_CASE("Histogram takes what is longer than its last bound", "[balance]") {
  Histogram histogram;
  histogram.record(400'000'000'000);
  const auto sum = sumOf(histogram);
  CHECK(sum.buckets.back() == 1);
  CHECK(sum.quantile(0.99) == 100e9);
}

TEST_CASE("Histogram percentiles are true to a few per cent", "[balance]") {
  Histogram histogram;
  for (std::uint64_t us = 1; us <= 10'000; ++us) histogram.record(us * 1'000);
  const auto sum = sumOf(histogram);
  CHECK(sum.count == 10'000);
  CHECK(sum.quantile(0.50) == Approx(5e6).epsilon(0.03));
  CHECK(sum.quantile(0.95) == Approx(9.5e6).epsilon(0.03));
  CHECK(sum.quantile(0.99) == Approx(9.9e6).epsilon(0.03));
}

TEST_CASE("Histograms add up in any order and lose nothing", "[balance]") {
  Histogram workers[3];
  Histogram whole;
  for (std::uint64_t i = 0; i < 3'000; ++i) {
    const std::uint64_t ns = (i * i * 7'919) % 200'000'000'000;
    workers[i % 3].record(ns);
    whole.record(ns);
  }
  const auto added = [&](std::initializer_list<std::size_t> order) {
    Histogram::Sum sum;
    for (const auto i : order) sum.add(workers[i].sum());
    return sum;
  };
  CHECK(added({0, 1, 2}) == whole.sum());
  CHECK(added({2, 0, 1}) == whole.sum());
  Histogram::Sum pair = workers[1].sum(), grouped = workers[0].sum();
  pair.add(workers[2].sum());
  grouped.add(pair);
  CHECK(grouped == added({0, 1, 2}));
  CHECK(added({0, 1, 2}).quantile(0.95) == whole.sum().quantile(0.95));
  Histogram copy;
  copy.set(whole.sum());
  CHECK(copy.sum() == whole.sum());
}

TEST_CASE("Histogram without samples has percentiles of zero", "[balance]") {
  CHECK(Histogram::Sum{}.quantile(0.99) == 0);
}
