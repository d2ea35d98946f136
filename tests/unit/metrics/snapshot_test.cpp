// SPDX-License-Identifier: MIT
#include "metrics/snapshot.h"

#include "unit/metrics/support.h"

#include <cmath>

using namespace lemonade;
using namespace lemonade::metrics;
using lemonade::metrics::test::text;

namespace {

const lemonade_family_t& familyAt(const Snapshot& snapshot, std::uint32_t index) {
  return *lemonade_snapshot_family(&snapshot.raw(), index);
}

const lemonade_series_t& seriesAt(const Snapshot& snapshot, std::uint32_t family, std::uint32_t index) {
  return *lemonade_family_series(&familyAt(snapshot, family), index);
}

}  // namespace

TEST_CASE("A snapshot keeps its own copy of every text", "[metrics]") {
  SnapshotBuilder builder;
  {
    const std::string name = "name_total", help = "Help.", label = "backend", value = "web-1 \"quoted\"\n";
    builder.counter(name, help).add(builder.labels({{label, value}}), 7);
  }
  const auto snapshot = builder.build(123, 456);
  CHECK(snapshot->raw().unix_ns == 123);
  CHECK(snapshot->raw().uptime_ns == 456);
  REQUIRE(snapshot->raw().family_count == 1);
  CHECK(text(familyAt(*snapshot, 0).name) == "name_total");
  CHECK(text(familyAt(*snapshot, 0).help) == "Help.");
  const auto& series = seriesAt(*snapshot, 0, 0);
  REQUIRE(series.label_count == 1);
  CHECK(text(series.labels[0].name) == "backend");
  CHECK(text(series.labels[0].value) == "web-1 \"quoted\"\n");
  CHECK(series.value == 7);
}

TEST_CASE("A family named twice is one family with the first type", "[metrics]") {
  SnapshotBuilder builder;
  builder.counter("a_total", "A.").add(1);
  builder.gauge("b", "B.").add(2);
  builder.gauge("a_total", "Other.").add(builder.labels({{"x", "y"}}), 3);
  const auto snapshot = builder.build(0, 0);
  REQUIRE(snapshot->raw().family_count == 2);
  CHECK(familyAt(*snapshot, 0).type == LEMONADE_METRIC_COUNTER);
  CHECK(familyAt(*snapshot, 0).series_count == 2);
  CHECK(snapshot->seriesCount() == 3);
}

TEST_CASE("A family without series is left out", "[metrics]") {
  SnapshotBuilder builder;
  builder.counter("empty_total", "Nothing.");
  builder.gauge("full", "Something.").add(1);
  const auto snapshot = builder.build(0, 0);
  REQUIRE(snapshot->raw().family_count == 1);
  CHECK(text(familyAt(*snapshot, 0).name) == "full");
}

TEST_CASE("The id of a series depends on its name and labels alone", "[metrics]") {
  const auto idOf = [](double value, std::string_view family, std::initializer_list<Label> base,
                       std::initializer_list<Label> more) {
    SnapshotBuilder builder;
    builder.gauge("earlier", "Earlier.").add(1);
    builder.gauge(family, "Help.").add(builder.labels(builder.labels(base), more), value);
    return seriesAt(*builder.build(0, 0), 1, 0).id;
  };
  const auto id = idOf(1, "f", {{"a", "b"}}, {{"c", "d"}});
  CHECK(idOf(2, "f", {{"a", "b"}}, {{"c", "d"}}) == id);
  CHECK(idOf(2, "f", {{"a", "b"}, {"c", "d"}}, {}) == id);
  CHECK(idOf(1, "g", {{"a", "b"}}, {{"c", "d"}}) != id);
  CHECK(idOf(1, "f", {{"a", "b"}}, {{"c", "e"}}) != id);
  CHECK(idOf(1, "f", {{"a", "bc"}}, {{"", "d"}}) != id);
  CHECK(idOf(1, "f", {}, {}) != id);
}

TEST_CASE("A histogram is shown with cumulative buckets in seconds", "[metrics]") {
  Histogram histogram;
  histogram.record(100'000);         // exactly the first bound: inclusive
  histogram.record(100'001);         // just above it
  histogram.record(60'000'000'000);  // exactly the last bound
  histogram.record(90'000'000'000);  // above all
  Histogram::Sum sum;
  sum.add(histogram);
  SnapshotBuilder builder;
  builder.histogram("h_seconds", "H.").add(LabelSet{}, sum);
  const auto snapshot = builder.build(0, 0);
  const auto& series = seriesAt(*snapshot, 0, 0);

  REQUIRE(series.bucket_count == shownBounds().size() + 1);
  CHECK(series.buckets[0].upper == 0.0001);
  CHECK(series.buckets[0].cumulative == 1);
  CHECK(series.buckets[1].upper == 0.00025);
  CHECK(series.buckets[1].cumulative == 2);
  CHECK(series.buckets[shownBounds().size() - 2].cumulative == 2);
  CHECK(series.buckets[shownBounds().size() - 1].upper == 60);
  CHECK(series.buckets[shownBounds().size() - 1].cumulative == 3);
  CHECK(std::isinf(series.buckets[shownBounds().size()].upper));
  CHECK(series.buckets[shownBounds().size()].cumulative == 4);
  CHECK(series.count == 4);
  CHECK(series.value == Approx(150.000200001));
}
