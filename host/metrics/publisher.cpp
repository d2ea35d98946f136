// SPDX-License-Identifier: MIT
//
// The schedule of snapshots, and the coming and going of sinks.
#include "metrics/publisher.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <utility>

#include "base/log.h"

namespace lemonade::metrics {

namespace {

/// So long a record waits at most for being fetched; the lane of a worker has room for more than it can end meanwhile.
constexpr Duration kFetchEvery = std::chrono::milliseconds(50);

/// Runs one collector; what it throws costs its families, not the snapshot.
void addFrom(const Collector& collector, SnapshotBuilder& builder) {
  try {
    collector(builder);
  } catch (const std::bad_alloc&) {
    throw;  // half of what there is would mislead
  } catch (const std::exception& e) {
    log::error("metrics", "a collector of metrics failed", {{"reason", e.what()}});
  }
}

std::uint64_t after(Duration delay) noexcept { return nowNs() + static_cast<std::uint64_t>(delay.count()); }

}  // namespace

Publisher::Publisher(std::vector<Collector> collectors, Undertaker::Post to_control, std::uint64_t started_ns,
                     RecordSource records)
    : collectors_(std::move(collectors)),
      undertaker_(std::make_shared<Undertaker>(std::move(to_control))),
      started_ns_(started_ns),
      source_(std::move(records)) {}

Publisher::~Publisher() { stop(Duration::zero()); }

void Publisher::configure(const SinkLimits& limits, std::vector<SinkHandle> handles) {
  std::erase_if(retired_, [](const auto& sink) { return sink.expired(); });
  auto leaving = sinks();
  SinkList next, begun;
  try {
    for (auto& handle : handles) {
      const auto kept = std::ranges::find_if(leaving, [&](const auto& sink) { return sink->handle() == handle; });
      if (kept != leaving.end()) {
        (*kept)->configure(limits);
        next.push_back(std::move(*kept));
        leaving.erase(kept);
        continue;
      }
      auto& counters = counters_[handle->info().id];
      if (!counters) counters = std::make_shared<SinkCounters>();
      next.push_back(std::make_shared<Sink>(std::move(handle), limits, counters, undertaker_));
      begun.push_back(next.back());
      next.back()->start();
    }
  } catch (...) {
    for (const auto& sink : begun) sink->close(0);
    throw;
  }
  const bool wanted = std::ranges::any_of(next, &Sink::takesRecords);
  if (wanted) followRecords(true);
  takeRecords();  // of sessions that ended before: they are for the sinks that were there
  {
    const std::scoped_lock lock(records_mutex_, mutex_);
    sinks_ = std::move(next);
    interval_ = std::max<Duration>(limits.interval, std::chrono::milliseconds(1));
    ++settings_;
    changed_.notify_all();
  }
  if (!wanted) followRecords(false);
  for (auto& sink : leaving) {
    sink->close(after(limits.interval));
    if (!sink->release()) retired_.push_back(sink);
  }
  if (!ticker_.joinable()) ticker_ = std::thread([this] { tick(); });
}

void Publisher::healthEvent(const HealthEvent& event) {
  for (const auto& sink : sinks()) sink->push(event);
}

// Records that nobody took before are of sessions that nobody wanted to know of.
void Publisher::followRecords(bool wanted) {
  if (!source_.want || wanted == fetcher_.joinable()) return;
  source_.want(wanted);
  if (!wanted) {
    fetcher_ = {};
    return;
  }
  source_.for_each_lane([](SessionRecordLane& lane) { lane.takeAll([](const SessionRecord&) {}); });
  fetcher_ = std::jthread([this](const std::stop_token& stopped) { fetch(stopped); });
}

void Publisher::fetch(const std::stop_token& stopped) {
  (void)::pthread_setname_np(::pthread_self(), "records");
  std::mutex mutex;
  std::unique_lock lock(mutex);
  while (!fetching_.wait_for(lock, stopped, kFetchEvery, [] { return false; }) && !stopped.stop_requested())
    takeRecords();
}

void Publisher::takeRecords() noexcept try {
  if (!source_.for_each_lane) return;
  const std::lock_guard lock(records_mutex_);
  SinkList to = sinks();
  std::erase_if(to, [](const auto& sink) { return !sink->takesRecords(); });
  if (to.empty()) return;
  const std::uint64_t unix_minus_monotonic_ns = unixNs() - nowNs();
  std::uint64_t drops = 0;
  auto batch = std::make_shared<SessionBatch>();
  source_.for_each_lane([&](SessionRecordLane& lane) {
    drops += lane.dropped();
    lane.takeAll([&](const SessionRecord& record) {
      batch->add(record, unix_minus_monotonic_ns);
      if (batch->size() >= SessionBatch::kMost) forward(batch, to);
    });
  });
  const std::uint64_t dropped = drops - std::exchange(lane_drops_, drops);
  if (dropped != 0)
    for (const auto& sink : to) sink->noteDropped(dropped);
  if (batch->size() != 0) forward(batch, to);
} catch (const std::bad_alloc&) {
  log::error("metrics", "session records are left out", {{"reason", "out of memory"}});
}

/// Leaves an empty batch in the place of the one that it hands on.
void Publisher::forward(std::shared_ptr<SessionBatch>& batch, const SinkList& to) {
  const std::shared_ptr<const SessionBatch> full = std::exchange(batch, std::make_shared<SessionBatch>());
  for (const auto& sink : to) sink->push(full);
}

void Publisher::reopen(Reopening::Done done) {
  const auto reopening = std::make_shared<Reopening>(std::move(done));
  for (const auto& sink : sinks()) sink->push(reopening);
}

void Publisher::look() {
  for (const auto& sink : sinks()) sink->look();
}

bool Publisher::stop(Duration grace) {
  if (std::exchange(stopped_, true)) return true;
  const auto deadline_ns = after(grace);
  takeRecords();
  followRecords(false);
  SinkList leaving;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    leaving = std::exchange(sinks_, {});
    changed_.notify_all();
  }
  if (ticker_.joinable()) ticker_.join();
  if (std::ranges::any_of(leaving, &Sink::pushes)) {
    const auto last = snapshot();
    for (const auto& sink : leaving) sink->push(last);
  }
  for (const auto& retired : retired_)
    if (auto sink = retired.lock()) leaving.push_back(std::move(sink));
  for (const auto& sink : leaving) sink->close(deadline_ns);
  bool all = true;
  for (const auto& sink : leaving) {
    if (sink->awaitEnd(deadline_ns) && sink->release()) continue;
    all = false;
    log::warning("metrics", "sink hangs and is left behind", {{"sink", sink->id()}});
  }
  undertaker_->close();
  return all;
}

std::optional<Result<Rendered>> Publisher::render(std::string_view id, std::string_view accept) {
  for (const auto& sink : sinks())
    if (sink->renders() && (id.empty() || sink->id() == id)) return sink->render(*snapshot(), accept);
  return std::nullopt;
}

bool Publisher::answers(std::string_view id) const {
  for (const auto& sink : sinks())
    if (sink->renders() && (id.empty() || sink->id() == id)) return sink->answers();
  return false;
}

std::vector<std::string> Publisher::broken() const {
  std::vector<std::string> ids;
  for (const auto& sink : sinks())
    if (sink->isBroken()) ids.push_back(sink->id());
  return ids;
}

std::vector<std::string> Publisher::readable() const {
  std::vector<std::string> ids;
  for (const auto& sink : sinks())
    if (sink->renders()) ids.push_back(sink->id());
  return ids;
}

std::shared_ptr<const Snapshot> Publisher::snapshot() const {
  SnapshotBuilder builder;
  for (const auto& collector : collectors_) addFrom(collector, builder);
  addOwnFamilies(builder);
  return builder.build(unixNs(), nowNs() - started_ns_);
}

void Publisher::tick() {
  std::unique_lock lock(mutex_);
  auto last_ns = nowNs();
  while (!stopping_) {
    const auto known = settings_;
    const auto woken = [&] { return stopping_ || settings_ != known; };
    const auto due = std::chrono::steady_clock::time_point(Duration(last_ns) + interval_);
    const bool pushing = std::ranges::any_of(sinks_, &Sink::pushes);
    if (pushing ? changed_.wait_until(lock, due, woken) : (changed_.wait(lock, woken), true)) continue;

    // Due times keep their rhythm; those that passed while a snapshot was made are skipped.
    const auto interval_ns = static_cast<std::uint64_t>(interval_.count());
    last_ns += (nowNs() - last_ns) / interval_ns * interval_ns;
    lock.unlock();
    push();
    lock.lock();
  }
}

void Publisher::push() const noexcept try {
  const auto current = snapshot();
  for (const auto& sink : sinks()) sink->push(current);
} catch (const std::exception& e) {
  log::error("metrics", "a snapshot is left out", {{"reason", e.what()}});
}

std::map<std::string, SinkLosses> Publisher::losses() const {
  std::map<std::string, SinkLosses> losses;
  for (const auto& [sink, counters] : counters_) losses.emplace(sink, counters->total());
  return losses;
}

void Publisher::inherit(const std::string& sink, const SinkLosses& losses) {
  auto& counters = counters_[sink];
  if (!counters) counters = std::make_shared<SinkCounters>();
  counters->inherited_series = losses.dropped_series;
  counters->inherited_health_events = losses.dropped_health_events;
  counters->inherited_records = losses.dropped_records;
  counters->inherited_errors = losses.errors;
  counters->inherited_overruns = losses.overruns;
}

void Publisher::addOwnFamilies(SnapshotBuilder& builder) const {
  auto dropped = builder.counter("lemonade_metrics_dropped_total",
                                 "Series of snapshots that a metrics sink was too slow to take.");
  auto events = builder.counter("lemonade_health_events_dropped_total",
                                "Health events that a metrics sink was too slow to take.");
  auto records = builder.counter("lemonade_session_records_dropped_total",
                                 "Records of sessions that a metrics sink was too slow to take.");
  auto errors = builder.counter("lemonade_sink_errors_total",
                                "Snapshots and batches of session records that a metrics sink failed to take.");
  auto overruns =
      builder.counter("lemonade_sink_overruns_total", "Calls of a metrics sink that outlasted their deadline.");
  auto broken =
      builder.gauge("lemonade_sink_broken", "1 where a metrics sink is called no more: a call of it was broken off.");
  for (const auto& sink : sinks()) {
    const auto labels = builder.labels({{"sink", sink->id()}});
    const auto total = sink->counters().total();
    dropped.add(labels, static_cast<double>(total.dropped_series));
    events.add(labels, static_cast<double>(total.dropped_health_events));
    records.add(labels, static_cast<double>(total.dropped_records));
    errors.add(labels, static_cast<double>(total.errors));
    overruns.add(labels, static_cast<double>(total.overruns));
    broken.add(labels, sink->isBroken() ? 1 : 0);
  }
}

Publisher::SinkList Publisher::sinks() const {
  const std::lock_guard lock(mutex_);
  return sinks_;
}

}  // namespace lemonade::metrics
