// SPDX-License-Identifier: MIT
//
// The shipped prometheus sink, from its file.
#include "unit/metrics/support.h"

#include <protozero/pbf_reader.hpp>
#include <protozero/varint.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>

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

// ---- native histograms ---------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view kScraper =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

SinkHandle nativeSink(RecordingHost& host) {
  return loadSink("prometheus", host, {{.key = "native_histograms", .value = true, .source = {}}});
}

/// What of a native histogram a reader of it goes by.
struct Native {
  std::uint64_t samples = 0;
  double sum = 0;
  std::int32_t schema = 0;
  double zero_threshold = 0;
  std::uint64_t zero_count = 0;
  std::map<std::int32_t, std::int64_t> buckets{};  // by index
  std::size_t classic = 0;
};

std::vector<std::pair<std::int32_t, std::uint32_t>> spansOf(protozero::pbf_reader histogram) {
  std::vector<std::pair<std::int32_t, std::uint32_t>> spans;
  while (histogram.next(12)) {
    auto message = histogram.get_message();
    auto& [offset, length] = spans.emplace_back();
    while (message.next()) {
      if (message.tag() == 1)
        offset = message.get_sint32();
      else
        length = message.get_uint32();
    }
  }
  return spans;
}

Native nativeOf(protozero::pbf_reader histogram) {
  Native native;
  std::vector<std::int64_t> deltas;
  const auto spans = spansOf(histogram);
  while (histogram.next()) switch (histogram.tag()) {
      case 1:
        native.samples = histogram.get_uint64();
        break;
      case 2:
        native.sum = histogram.get_double();
        break;
      case 3:
        histogram.skip();
        ++native.classic;
        break;
      case 5:
        native.schema = histogram.get_sint32();
        break;
      case 6:
        native.zero_threshold = histogram.get_double();
        break;
      case 7:
        native.zero_count = histogram.get_uint64();
        break;
      case 13:
        for (const auto delta : histogram.get_packed_sint64()) deltas.push_back(delta);
        break;
      default:
        histogram.skip();
    }
  std::int32_t index = 0;
  std::int64_t count = 0;
  auto delta = deltas.begin();
  for (const auto& [offset, length] : spans) {
    index += offset;
    for (std::uint32_t i = 0; i < length; ++i, ++index) {
      REQUIRE(delta != deltas.end());
      native.buckets[index] = count += *delta++;
    }
  }
  CHECK(delta == deltas.end());
  return native;
}

/// The families of an answer, each without its length.
std::vector<std::string> familiesOf(const std::string& answer) {
  std::vector<std::string> families;
  const char* at = answer.data();
  const char* const end = at + answer.size();
  while (at != end) {
    const auto size = protozero::decode_varint(&at, end);
    families.emplace_back(at, size);
    at += size;
  }
  return families;
}

/// The histogram of the first series of a family.
Native histogramOf(const std::string& family) {
  protozero::pbf_reader reader(family);
  REQUIRE(reader.next(4));
  auto metric = reader.get_message();
  REQUIRE(metric.next(7));
  return nativeOf(metric.get_message());
}

std::string renderedFor(const SinkHandle& handle, const Snapshot& snapshot, std::string_view accept) {
  Sink sink(handle, {}, std::make_shared<SinkCounters>(), std::make_shared<Undertaker>(nullptr));
  auto result = sink.render(snapshot, std::string(accept));
  REQUIRE(result.ok());
  const bool protobuf = result.value().content_type.starts_with("application/vnd.google.protobuf");
  return (protobuf ? "protobuf " : "text ") + result.value().body;
}

}  // namespace

TEST_CASE("prometheus answers in protobuf where it may and the reader would rather have it", "[metrics]") {
  RecordingHost host;
  SnapshotBuilder builder;
  builder.gauge("g", "G.").add(1);
  const auto snapshot = builder.build(0, 0);
  const auto native = nativeSink(host);
  const auto kind = [&](const SinkHandle& sink, std::string_view accept) {
    const auto answer = renderedFor(sink, *snapshot, accept);
    return answer.substr(0, answer.find(' '));
  };
  CHECK(kind(native, kScraper) == "protobuf");
  CHECK(kind(loadSink("prometheus", host), kScraper) == "text");
  CHECK(kind(native, "") == "text");
  CHECK(kind(native, "*/*") == "text");
  CHECK(kind(native,
             "text/plain, application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
             "encoding=delimited; q=0.7") == "text");
  CHECK(kind(native, "application/vnd.google.protobuf") == "text");  // of something else
}

TEST_CASE("prometheus writes what protobuf readers know a family by", "[metrics]") {
  RecordingHost host;
  SnapshotBuilder builder;
  builder.counter("c_total", "C.").add(builder.labels({{"backend", "web-1"}}), 12);
  builder.gauge("g", "G.").add(0.25);
  const auto answer = renderedFor(nativeSink(host), *builder.build(0, 0), kScraper).substr(9);
  const auto families = familiesOf(answer);
  REQUIRE(families.size() == 2);
  protozero::pbf_reader family(families[0]);
  REQUIRE(family.next(1));
  CHECK(family.get_string() == "c_total");
  REQUIRE(family.next(2));
  CHECK(family.get_string() == "C.");
  REQUIRE(family.next(3));
  CHECK(family.get_enum() == 0);
  REQUIRE(family.next(4));
  auto metric = family.get_message();
  REQUIRE(metric.next(1));
  auto label = metric.get_message();
  REQUIRE(label.next(1));
  CHECK(label.get_string() == "backend");
  REQUIRE(label.next(2));
  CHECK(label.get_string() == "web-1");
  REQUIRE(metric.next(3));
  auto counter = metric.get_message();
  REQUIRE(counter.next(1));
  CHECK(counter.get_double() == 12);
}

TEST_CASE("A native histogram has every sample within a fifth of where it was", "[metrics]") {
  RecordingHost host;
  Histogram histogram;
  const std::uint64_t times[] = {3'000,      11'000,      150'000,        150'000,        2'400'000,
                                 20'000'000, 900'000'000, 99'000'000'000, 400'000'000'000};
  double seconds = 0;
  for (const auto ns : times) {
    histogram.record(ns);
    seconds += static_cast<double>(ns) / 1e9;
  }
  SnapshotBuilder builder;
  builder.histogram("h_seconds", "H.").add(builder.labels({{"backend", "1"}}), histogram.sum());
  const auto families = familiesOf(renderedFor(nativeSink(host), *builder.build(0, 0), kScraper).substr(9));
  REQUIRE(families.size() == 1);
  const auto native = histogramOf(families[0]);
  CHECK(native.samples == std::size(times));
  CHECK(native.sum == Approx(seconds));
  CHECK(native.classic == 20);
  CHECK(native.zero_count == 1);
  CHECK(native.zero_threshold == Approx(1e-5));
  std::int64_t counted = 0;
  for (const auto& [index, count] : native.buckets) counted += count;
  CHECK(counted + 1 == static_cast<std::int64_t>(std::size(times)));
  for (const auto ns : times) {
    if (ns <= 10'000 || ns > 100'000'000'000) continue;
    CAPTURE(ns);
    const double value = static_cast<double>(ns) / 1e9;
    CHECK(std::any_of(native.buckets.begin(), native.buckets.end(), [&](const auto& bucket) {
      const double upper = std::exp2(std::ldexp(bucket.first, -native.schema));
      return value < upper * 1.18 && value > upper / 1.18;
    }));
  }
}

TEST_CASE("No bucket of a native histogram ever loses a sample and no two of the host's share one", "[metrics]") {
  RecordingHost host;
  const auto sink = nativeSink(host);
  Histogram histogram;
  std::map<std::int32_t, std::int64_t> before;
  std::uint64_t zeros = 0;
  for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
    histogram.record(Histogram::kBounds[i]);
    SnapshotBuilder builder;
    builder.histogram("h_seconds", "H.").add(builder.labels({{"backend", "1"}}), histogram.sum());
    const auto native = histogramOf(familiesOf(renderedFor(sink, *builder.build(0, 0), kScraper).substr(9)).at(0));
    for (const auto& [index, count] : before) CHECK(native.buckets.at(index) >= count);
    CHECK(native.buckets.size() == i);
    CHECK(native.zero_count >= zeros);
    before = native.buckets;
    zeros = native.zero_count;
  }
}
