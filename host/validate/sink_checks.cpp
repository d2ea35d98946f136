// SPDX-License-Identifier: MIT
//
// A metrics sink: empty and huge snapshots, odd values, readers that go away.
#include "validate/sink_run.h"

#include <cmath>
#include <limits>

namespace lemonade::validate {

namespace {

using Sink = Live<lemonade_metrics_sink_t>;

constexpr std::uint64_t kSecond = 1'000'000'000;

/// Where a flush leads is not known, so only the form of its outcome counts.
void flush(const Code& code, const Sink& sink, Snapshot& snapshot, std::size_t extra = 0) {
  if (sink.table().flush == nullptr) return;
  Guarded<lemonade_error_t> error(extra);
  stage("flushing");
  const auto status = sink.table().flush(sink.self(), snapshot.get(), nowNs() + kSecond, error.get());
  if (status != LEMONADE_OK) requireError(code.entry(), status, *error.get());
}

lemonade_status_t render(const Code& code, const Sink& sink, Snapshot& snapshot, Reader& reader,
                         std::string_view accept = {}) {
  Guarded<lemonade_error_t> error(0);
  const auto writer = reader.writer();
  stage("rendering");
  const auto status = sink.table().render(sink.self(), snapshot.get(), str(accept), &writer, error.get());
  if (status != LEMONADE_OK && !reader.refused()) requireError(code.entry(), status, *error.get());
  return status;
}

void renderAll(const Code& code, const Sink& sink, Snapshot& snapshot) {
  if (sink.table().render == nullptr) return;
  for (const char* accept : {"", "text/plain", "application/openmetrics-text; version=1.0.0", "\xff,;q=,"}) {
    const auto type = sink.table().content_type(sink.self(), str(accept));
    require(type.size > 0 && view(type).find_first_of("\r\n") == std::string_view::npos,
            "its content type is unusable");
    Reader reader;
    require(render(code, sink, snapshot, reader, accept) == LEMONADE_OK, "it cannot render a snapshot");
  }
}

Outcome empty(const Subject& subject) {
  const Code code(subject);
  const Sink sink(subject, code);
  Snapshot none(0, {}, {});
  flush(code, sink, none);
  renderAll(code, sink, none);
  return pass();
}

Outcome large(const Subject& subject) {
  const Code code(subject);
  const Sink sink(subject, code);
  Snapshot many(33'334, {"web-1"}, {});
  flush(code, sink, many);
  renderAll(code, sink, many);
  return pass();
}

Outcome odd(const Subject& subject) {
  const Code code(subject);
  const Sink sink(subject, code);
  const auto infinity = std::numeric_limits<double>::infinity();
  Snapshot strange(
      12, {"", "a\"b\\c\nd", "\xc3\xa9\xe2\x82\xac", std::string(3'000, 'l'), std::string("\0x", 2), "\xff\xfe"},
      {std::nan(""), infinity, -infinity, -0.0, 1e308, 5e-324});
  flush(code, sink, strange);
  renderAll(code, sink, strange);
  return pass();
}

Outcome shortWrites(const Subject& subject) {
  const Code code(subject);
  const Sink sink(subject, code);
  if (sink.table().render == nullptr) return skip("it renders nothing");
  Snapshot some(20, {"web-1"}, {});
  Reader all;
  require(render(code, sink, some, all) == LEMONADE_OK, "it cannot render a snapshot");
  for (std::size_t takes = 0; takes < all.text().size(); takes += 1 + all.text().size() / 50) {
    Reader reader(takes);
    const auto status = render(code, sink, some, reader);
    if (!reader.refused()) continue;
    require(status != LEMONADE_OK, "it says that all went well when its reader was gone");
    require(!reader.writtenAfterRefusal(), "it goes on writing to a reader that takes no more");
  }
  return pass();
}

Outcome health(const Subject& subject) {
  const Code code(subject);
  const Sink sink(subject, code);
  if (sink.table().health_event == nullptr) return skip("it hears of no health");
  for (const std::uint32_t state : {LEMONADE_HEALTH_DOWN, LEMONADE_HEALTH_UP, LEMONADE_HEALTH_EJECTED, 99U}) {
    Guarded<lemonade_health_event_t> event(0);
    event->state = state;
    event->id = event->name = str("web-1");
    event->address = str("192.0.2.1:80");
    stage("hearing of a backend's health");
    sink.table().health_event(sink.self(), event.get());
  }
  return pass();
}

void takeRecords(const Code& code, const Sink& sink, Records& records) {
  Guarded<lemonade_error_t> error(0);
  stage("taking session records");
  const auto status = sink.table().session_records(sink.self(), records.get(), nowNs() + kSecond, error.get());
  if (status != LEMONADE_OK) requireError(code.entry(), status, *error.get());
}

Outcome sessions(const Subject& subject) {
  const Code code(subject);
  const Sink sink(subject, code);
  if (!takesRecords(sink.table())) return skip("it takes no session records");
  Records none(0, {}, 0);
  Records plain(100, {"web", "192.0.2.1:80"}, 1'000'000);
  Records strange(
      50, {"", "a\"b\\c\nd", "\xc3\xa9\xe2\x82\xac", std::string(3'000, 'l'), std::string("\0x", 2), "\xff\xfe"},
      ~std::uint64_t{0});
  Records many(1'000, {"web-1"}, 1);
  for (auto* records : {&none, &plain, &strange, &many}) takeRecords(code, sink, *records);
  return pass();
}

Outcome reopen(const Subject& subject) {
  const Code code(subject);
  const Sink sink(subject, code);
  if (!LEMONADE_HAS(&sink.table(), lemonade_metrics_sink_t, reopen) || sink.table().reopen == nullptr)
    return skip("it opens nothing anew");
  Records some(10, {"web"}, 1);
  for (int i = 0; i < 3; ++i) {
    Guarded<lemonade_error_t> error(0);
    stage("opening anew what it writes to");
    const auto status = sink.table().reopen(sink.self(), error.get());
    if (status != LEMONADE_OK) requireError(code.entry(), status, *error.get());
    if (takesRecords(sink.table())) takeRecords(code, sink, some);
  }
  return pass();
}

constexpr std::uint32_t kOnly = LEMONADE_KIND_METRICS_SINK;

constexpr Check kChecks[] = {
    {"sink.empty", "bears a snapshot of nothing", "look at the counts before the pointers", empty, "process.create",
     kOnly},
    {"sink.large", "takes a hundred thousand series", "write as you go, and keep to the deadline", large, "sink.empty",
     kOnly},
    {"sink.odd", "bears odd labels and numbers", "escape labels; NaN and infinities are numbers, too", odd,
     "sink.empty", kOnly},
    {"sink.short_writes", "stops when its reader is gone", "return what write returned, at once", shortWrites,
     "sink.empty", kOnly},
    {"sink.health", "bears every health event", "an unknown state is a newer host's", health, "process.create", kOnly},
    {"sink.sessions", "takes records of sessions",
     "escape texts; an unknown reason is a newer host's, and so is an unknown flag", sessions, "process.create", kOnly},
    {"sink.reopen", "opens anew what it writes to, and goes on", "close the old file once the new one is open", reopen,
     "process.create", kOnly},
};

}  // namespace

std::span<const Check> sinkChecks() { return kChecks; }

}  // namespace lemonade::validate
