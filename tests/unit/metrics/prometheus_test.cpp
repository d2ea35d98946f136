// SPDX-License-Identifier: MIT
//
// The shipped prometheus sink, from its file.
#include "unit/metrics/support.h"

#include <limits>

using namespace lemonade;
using namespace lemonade::metrics;
using namespace lemonade::metrics::test;

TEST_CASE("prometheus writes counters and gauges with their labels", "[metrics]") {
  RecordingHost host;
  SnapshotBuilder builder;
  builder.counter("lemonade_things_total", "Things counted.")
      .add(builder.labels({{"backend", "web-1"}, {"direction", "in"}}), 12345678901)
      .add(builder.labels({{"backend", "web-2"}, {"direction", "out"}}), 0);
  builder.gauge("lemonade_level", "A level.").add(0.25);
  CHECK(rendered(loadSink("prometheus", host), *builder.build(0, 0)) ==
        "# HELP lemonade_things_total Things counted.\n"
        "# TYPE lemonade_things_total counter\n"
        "lemonade_things_total{backend=\"web-1\",direction=\"in\"} 12345678901\n"
        "lemonade_things_total{backend=\"web-2\",direction=\"out\"} 0\n"
        "# HELP lemonade_level A level.\n"
        "# TYPE lemonade_level gauge\n"
        "lemonade_level 0.25\n");
}

TEST_CASE("prometheus escapes label values and help", "[metrics]") {
  RecordingHost host;
  SnapshotBuilder builder;
  builder.gauge("g", "A \"quoted\" \\ help\nof two lines.").add(builder.labels({{"name", "a\"b\\c\nd\té\x01"}}), 1);
  const auto text = rendered(loadSink("prometheus", host), *builder.build(0, 0));
  CHECK(text ==
        "# HELP g A \"quoted\" \\\\ help\\nof two lines.\n"
        "# TYPE g gauge\n"
        "g{name=\"a\\\"b\\\\c\\nd\té\x01\"} 1\n");
  CHECK(promtoolComplaints(text) == "");
}

TEST_CASE("prometheus writes what is no number as Prometheus spells it", "[metrics]") {
  RecordingHost host;
  SnapshotBuilder builder;
  const double infinity = std::numeric_limits<double>::infinity();
  builder.gauge("g", "G.").add(std::nan("")).add(infinity).add(-infinity);
  const auto text = rendered(loadSink("prometheus", host), *builder.build(0, 0));
  CHECK(text == "# HELP g G.\n# TYPE g gauge\ng NaN\ng +Inf\ng -Inf\n");
}

TEST_CASE("prometheus writes histograms with bounds people can read", "[metrics]") {
  RecordingHost host;
  Histogram histogram;
  histogram.record(150'000);
  histogram.record(150'000);
  Histogram::Sum sum;
  sum.add(histogram);
  SnapshotBuilder builder;
  builder.histogram("h_seconds", "H.").add(builder.labels({{"backend", "1"}}), sum);
  const auto text = rendered(loadSink("prometheus", host), *builder.build(0, 0));
  CHECK_THAT(text, Catch::Contains("h_seconds_bucket{backend=\"1\",le=\"0.0001\"} 0\n"
                                   "h_seconds_bucket{backend=\"1\",le=\"0.00025\"} 2\n"));
  CHECK_THAT(text, Catch::Contains("h_seconds_bucket{backend=\"1\",le=\"60\"} 2\n"
                                   "h_seconds_bucket{backend=\"1\",le=\"+Inf\"} 2\n"
                                   "h_seconds_sum{backend=\"1\"} 0.0003\n"
                                   "h_seconds_count{backend=\"1\"} 2\n"));
  CHECK(promtoolComplaints(text) == "");
}

TEST_CASE("prometheus gives up when the reader is gone", "[metrics]") {
  RecordingHost host;
  const auto sink = loadSink("prometheus", host);
  SnapshotBuilder builder;
  builder.gauge("g", "G.").add(1);
  const auto snapshot = builder.build(0, 0);
  lemonade_writer_t writer{};
  writer.struct_size = sizeof(writer);
  writer.write = [](void*, const void*, std::uint64_t) noexcept -> lemonade_status_t { return LEMONADE_ERROR_LIMIT; };
  auto error = plugin::emptyError();
  CHECK(sink->table().render(sink->self(), &snapshot->raw(), {nullptr, 0}, &writer, &error) != LEMONADE_OK);
  CHECK(std::string(error.message) == "the reader takes no more");
}

TEST_CASE("promtool complaints are seen by these tests", "[metrics]") {
  if (std::system("command -v promtool >/dev/null") == 0)
    CHECK(promtoolComplaints("# TYPE bad counter\nbad 1\n") != "");
}
