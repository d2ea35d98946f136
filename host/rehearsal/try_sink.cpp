// SPDX-License-Identifier: MIT
//
// A metrics sink renders an empty snapshot and a small one, is asked to push an empty one, and gets no session records.
#include "base/clock.h"
#include "metrics/session_batch.h"
#include "metrics/snapshot.h"
#include "observe/families.h"
#include "plugin/text.h"
#include "rehearsal/try_plugin.h"

namespace lemonade {

namespace {

using plugin::str;

constexpr std::uint64_t kSinkTime = 1'000'000'000;

lemonade_status_t countBytes(void* context, const void*, std::uint64_t size) noexcept {
  *static_cast<std::uint64_t*>(context) += size;
  return LEMONADE_OK;
}

Status render(const plugin::SinkInstance& sink, const metrics::Snapshot& snapshot) {
  const auto& table = sink.table();
  for (const char* accept : {"", "text/plain", "application/openmetrics-text; version=1.0.0"}) {
    (void)table.content_type(sink.self(), str(accept));
    std::uint64_t written = 0;
    const lemonade_writer_t writer{sizeof(lemonade_writer_t), 0, &written, countBytes};
    auto error = plugin::emptyError();
    if (table.render(sink.self(), &snapshot.raw(), str(accept), &writer, &error) != LEMONADE_OK)
      return Error{"could not render a snapshot: " + plugin::describe(error)};
  }
  return success();
}

}  // namespace

/// Only an empty snapshot and an empty batch are pushed, and no health event: what a push sink feeds must not hear of a
/// rehearsal.
Status tryPlugin(plugin::SinkInstance& sink, const RehearsalContext& context) {
  const auto empty = metrics::SnapshotBuilder().build(unixNs(), 0);
  metrics::SnapshotBuilder builder;
  addProcess(builder, ProcessFacts{});
  const auto small = builder.build(unixNs(), 0);
  if (sink.table().flush != nullptr) {
    context.on_stage("flushing");
    // Its outcome depends on who listens, so it counts for nothing.
    auto error = plugin::emptyError();
    (void)sink.table().flush(sink.self(), &empty->raw(), nowNs() + kSinkTime, &error);
  }
  if (LEMONADE_HAS(&sink.table(), lemonade_metrics_sink_t, session_records) &&
      sink.table().session_records != nullptr) {
    context.on_stage("taking session records");
    const auto none = metrics::SessionBatch().raw(0);
    auto error = plugin::emptyError();
    (void)sink.table().session_records(sink.self(), &none, nowNs() + kSinkTime, &error);
  }
  if (sink.table().render == nullptr) return success();
  context.on_stage("rendering");
  if (auto rendered = render(sink, *empty); !rendered) return rendered;
  return render(sink, *small);
}

}  // namespace lemonade
