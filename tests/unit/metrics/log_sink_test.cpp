// SPDX-License-Identifier: MIT
//
// The shipped log sink, from its file.
#include "unit/metrics/support.h"

#include <lemonade/log_fields.h>

using namespace lemonade;
using namespace lemonade::metrics;
using namespace lemonade::metrics::test;

namespace {

struct Numbers {
  std::string id = "web-1";
  double sessions = 0;
  double active = 0;
  double exchanges = 0;
  double resets = 0;
  double refused = 0;
};

std::shared_ptr<const Snapshot> snapshotOf(const std::vector<Numbers>& backends, std::uint64_t uptime_s,
                                           const Histogram* times = nullptr) {
  SnapshotBuilder builder;
  for (const auto& numbers : backends) {
    const auto labels = builder.labels({{"backend", numbers.id}, {"name", "n"}, {"address", "10.0.0.1:80"}});
    builder.gauge("lemonade_backend_up", "").add(labels, 1);
    builder.counter("lemonade_backend_sessions_total", "").add(labels, numbers.sessions);
    builder.gauge("lemonade_backend_active_sessions", "").add(labels, numbers.active);
    builder.counter("lemonade_backend_exchanges_total", "").add(labels, numbers.exchanges);
    builder.counter("lemonade_backend_resets_total", "").add(labels, numbers.resets);
    builder.counter("lemonade_backend_connect_failures_total", "")
        .add(builder.labels(labels, {{"reason", "refused"}}), numbers.refused);
    Histogram::Sum sum;
    if (times != nullptr) sum.add(*times);
    if (times != nullptr) builder.histogram("lemonade_backend_exchange_seconds", "").add(labels, sum);
  }
  return builder.build(0, uptime_s * 1'000'000'000);
}

void flush(const SinkHandle& sink, const Snapshot& snapshot) {
  auto error = plugin::emptyError();
  REQUIRE(sink->table().flush(sink->self(), &snapshot.raw(), 0, &error) == LEMONADE_OK);
}

}  // namespace

TEST_CASE("log writes what happened since the last flush", "[metrics]") {
  RecordingHost host;
  const auto sink = loadSink("log", host);
  flush(sink, *snapshotOf({{.sessions = 100, .exchanges = 1'000}}, 10));
  host.lines.clear();
  flush(sink, *snapshotOf({{.sessions = 110, .active = 3, .exchanges = 1'050, .resets = 1, .refused = 2}}, 20));
  REQUIRE(host.lines.size() == 2);
  CHECK(host.lines[0] == "total backends=1 up=1 active=3 sessions=10 exchanges_per_second=5.0 errors=3");
  CHECK(host.lines[1] ==
        "backend=web-1 address=10.0.0.1:80 state=up active=3 sessions=10 exchanges_per_second=5.0 errors=3");
}

TEST_CASE("log tells backends of the same id and address in two pools apart", "[metrics]") {
  RecordingHost host;
  const auto sink = loadSink("log", host);
  SnapshotBuilder builder;
  for (const auto* pool : {"web", "database"})
    builder.counter("lemonade_backend_sessions_total", "")
        .add(builder.labels({{"pool", pool}, {"backend", "a"}, {"address", "10.0.0.1:80"}}), 2);
  flush(sink, *builder.build(0, 10'000'000'000));
  REQUIRE(host.lines.size() == 3);
  CHECK_THAT(host.lines[0], Catch::StartsWith("total backends=2 "));
  CHECK_THAT(host.lines[1],
             Catch::StartsWith("pool=database backend=a address=10.0.0.1:80 state=up active=0 sessions=2 "));
  CHECK_THAT(host.lines[2], Catch::StartsWith("pool=web backend=a "));
}

TEST_CASE("log counts clients that were turned away as errors, and not those that left", "[metrics]") {
  RecordingHost host;
  const auto sink = loadSink("log", host);
  const auto unserved = [](double turned_away, double left) {
    SnapshotBuilder builder;
    builder.counter("lemonade_proxy_unserved_total", "")
        .add(builder.labels({{"reason", "no_backend"}}), turned_away)
        .add(builder.labels({{"reason", "queue_timeout"}}), turned_away)
        .add(builder.labels({{"reason", "abandoned"}}), left);
    return builder.build(0, 10'000'000'000);
  };
  flush(sink, *unserved(5, 10));
  host.lines.clear();
  flush(sink, *unserved(7, 100));
  REQUIRE(host.lines.size() == 1);
  CHECK(host.lines[0] == "total backends=0 up=0 active=0 sessions=0 exchanges_per_second=0.0 errors=4");
}

TEST_CASE("log hands a host that knows of fields its numbers as numbers", "[metrics]") {
  static std::vector<std::string> written;
  static constexpr lemonade_log_fields_t kFields = {
      sizeof(lemonade_log_fields_t), 0,
      [](void*, std::uint32_t, lemonade_str_t message, const lemonade_log_field_t* fields, std::uint32_t count,
         std::uint32_t stride) noexcept {
        REQUIRE(stride == sizeof(*fields));
        std::string line = text(message);
        for (std::uint32_t i = 0; i < count; ++i)
          line += ' ' + text(fields[i].name) + ':' + std::to_string(fields[i].type);
        written.push_back(line);
      }};
  RecordingHost host;
  host.table.get_extension = [](void*, lemonade_str_t id) noexcept -> const void* {
    return sdk::view(id) == LEMONADE_LOG_FIELDS_EXTENSION ? &kFields : nullptr;
  };
  const auto sink = loadSink("log", host);
  flush(sink, *snapshotOf({{.id = "7", .sessions = 1}}, 10));
  CHECK(host.lines.empty());
  REQUIRE(written.size() == 2);
  CHECK(written[0] == "total backends:2 up:2 active:2 sessions:2 exchanges_per_second:3 errors:2");
  CHECK(written[1] == " backend:1 address:1 state:1 active:2 sessions:2 exchanges_per_second:3 errors:2");
}

TEST_CASE("log computes percentiles of the interval alone", "[metrics]") {
  RecordingHost host;
  const auto sink = loadSink("log", host);
  Histogram times;
  for (int i = 0; i < 1'000; ++i) times.record(9'000'000'000);
  flush(sink, *snapshotOf({{.exchanges = 1'000}}, 10, &times));
  host.lines.clear();
  for (int i = 0; i < 100; ++i) times.record(2'000'000);  // in the bucket from 1 to 2.5 ms
  flush(sink, *snapshotOf({{.exchanges = 1'100}}, 20, &times));
  REQUIRE(host.lines.size() == 2);
  CHECK_THAT(host.lines[1], Catch::EndsWith(" exchange_p50_ms=1.75 exchange_p95_ms=2.42 exchange_p99_ms=2.48") ||
                                Catch::EndsWith(" exchange_p50_ms=1.75 exchange_p95_ms=2.43 exchange_p99_ms=2.49"));
}

TEST_CASE("log gives idle backends no line and the busiest come first", "[metrics]") {
  RecordingHost host;
  const auto sink = loadSink("log", host, {{.key = "backends", .value = std::int64_t{2}, .source = {}}});
  flush(sink, *snapshotOf({{.id = "idle"}, {.id = "some", .sessions = 5}, {.id = "most", .sessions = 50}}, 10));
  REQUIRE(host.lines.size() == 3);
  CHECK_THAT(host.lines[1], Catch::StartsWith("backend=most "));
  CHECK_THAT(host.lines[2], Catch::StartsWith("backend=some "));
  host.lines.clear();
  flush(sink, *snapshotOf({{.id = "idle"}, {.id = "some", .sessions = 5}, {.id = "most", .sessions = 50}}, 20));
  CHECK(host.lines.size() == 1);
}

TEST_CASE("log quotes an id that could be taken for something else", "[metrics]") {
  RecordingHost host;
  const auto sink = loadSink("log", host);
  flush(sink, *snapshotOf({{.id = "a b\"\nstate=down", .sessions = 1}}, 10));
  REQUIRE(host.lines.size() == 2);
  CHECK_THAT(host.lines[1], Catch::StartsWith("backend=\"a b\\\" state=down\" address="));
}

TEST_CASE("log starts anew with a counter that went back", "[metrics]") {
  RecordingHost host;
  const auto sink = loadSink("log", host);
  flush(sink, *snapshotOf({{.sessions = 100}}, 10));
  host.lines.clear();
  flush(sink, *snapshotOf({{.sessions = 7}}, 20));
  REQUIRE(host.lines.size() == 2);
  CHECK_THAT(host.lines[1], Catch::Contains(" sessions=7 "));
}
