// SPDX-License-Identifier: MIT
//
// Time travel: the structs of the oldest host that may load the plugin, and those of this one, each ending at a guard
// page, and those of a later one, which are larger and lie further apart.
#include "validate/probe_run.h"
#include "validate/sink_run.h"
#include "validate/strategy_run.h"

namespace lemonade::validate {

namespace {

/// A kind without a scene of its own is created and destroyed.
template <class Table>
void live(const Subject& subject, const Code& code, std::size_t extra, std::type_identity<Table>) {
  const Live<Table> instance(subject, code, {}, extra);
}

void live(const Subject& subject, const Code& code, std::size_t extra, std::type_identity<lemonade_strategy_t>) {
  StrategyRun run(subject, code, 1, extra);
  Scene scene(equals(7), extra);
  run.show(scene);
  for (std::uint32_t i = 0; i < 100; ++i)
    if (const auto index = run.usablePick(scrambled(subject.seed, i)); index < 7)
      run.tell(scene.identity(index), false, run.cookie());
  run.showUnprepared(scene);
}

void live(const Subject& subject, const Code& code, std::size_t extra, std::type_identity<lemonade_health_checker_t>) {
  const Live<lemonade_health_checker_t> checker(subject, code, {}, extra);
  for (const char* answer : {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "nonsense"}) {
    ProbeRun probe(checker, extra);
    probe.connected();
    probe.data(answer);
    probe.eof();
  }
}

void live(const Subject& subject, const Code& code, std::size_t extra, std::type_identity<lemonade_metrics_sink_t>) {
  const Live<lemonade_metrics_sink_t> sink(subject, code, {}, extra);
  Snapshot snapshot(5, {"web-1"}, {}, extra);
  Guarded<lemonade_error_t> error(extra);
  stage("flushing");
  if (sink.table().flush != nullptr)
    (void)sink.table().flush(sink.self(), snapshot.get(), nowNs() + 1'000'000'000, error.get());
  if (!host_is_1_0 && takesRecords(sink.table())) {
    // So few that each has a reason this version knows: others are for sink.sessions.
    Records records(10, {"web"}, 1, extra);
    stage("taking session records");
    (void)sink.table().session_records(sink.self(), records.get(), nowNs() + 1'000'000'000, error.get());
  }
  if (sink.table().render == nullptr) return;
  Reader reader;
  Guarded<lemonade_writer_t> writer(extra);
  const auto plain = reader.writer();
  writer->context = plain.context;
  writer->write = plain.write;
  stage("rendering");
  require(sink.table().render(sink.self(), snapshot.get(), str(""), writer.get(), error.get()) == LEMONADE_OK,
          "it cannot render a snapshot");
}

Outcome travel(const Subject& subject, std::size_t extra) {
  guards_up = true;
  const Code code(subject);
  forEachKind(code.kinds(), [&](auto kind) { live(subject, code, extra, kind); });
  return pass();
}

Outcome oldest(const Subject& subject) {
  if (const auto need = Code(subject).entry().tag.need_minor; need > 0)
    return {Grade::kPass, "a host of ABI 1.0 refuses it: its need_minor is " + std::to_string(need)};
  host_is_1_0 = true;
  return travel(subject, 0);
}

Outcome current(const Subject& subject) { return travel(subject, 0); }
Outcome later(const Subject& subject) { return travel(subject, kExtra); }

constexpr Check kChecks[] = {
    {"versions.oldest", "reads no field that a host of ABI 1.0 lacks",
     "ask LEMONADE_HAS before you read a newer field, of a backend LEMONADE_VIEW_HAS; or set need_minor", oldest,
     "process.create strategy.events strategy.unprepared strategy.weights health.verdicts sink.empty"},
    {"versions.current", "reads nothing behind the structs of this host",
     "ask LEMONADE_HAS before you read a newer field, of a backend LEMONADE_VIEW_HAS", current, "versions.oldest"},
    {"versions.later", "bears the larger structs of a later host",
     "step through arrays by their stride: lemonade_view_backend and the like", later, "versions.current"},
};

}  // namespace

std::span<const Check> versionChecks() { return kChecks; }

}  // namespace lemonade::validate
