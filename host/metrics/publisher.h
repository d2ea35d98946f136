// SPDX-License-Identifier: MIT
//
// Feeds the metrics sinks: a snapshot of all collectors every interval to those that push, one on demand from those
// that are asked, and health events as they happen. A sink that is slow loses its own snapshots and nobody else's.
//
// Belongs to the control thread; render() and snapshot() are for any thread. One thread makes the snapshots, and it
// sleeps where no sink pushes. stop() comes before destruction.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "metrics/sink.h"

namespace lemonade::metrics {

class Publisher {
 public:
  /// collectors stay callable until stop() returned and no render() is under way. to_control runs a task soon on the
  /// control thread (ControlLoop::post). started_ns: when the process began, on the monotonic clock.
  Publisher(std::vector<Collector> collectors, Undertaker::Post to_control, std::uint64_t started_ns = nowNs());
  /// Stops at once where stop() was not called.
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Control thread.
  /// Sets the sinks, in the order of the configuration, and their limits; the first time this starts the work. A handle
  /// that is given again keeps its queue; the ones no longer given deliver what is queued, then end.
  void configure(const SinkLimits& limits, std::vector<SinkHandle> sinks);
  /// Queues an event for every sink that hears of health. Never blocks.
  void healthEvent(const HealthEvent& event);
  /// What was lost at each sink, by id.
  std::map<std::string, SinkLosses> losses() const;
  /// That much of it was lost in processes before this one.
  void inherit(const std::string& sink, const SinkLosses& losses);
  /// Pushes a last snapshot and gives the sinks `grace` to take what is queued; then they are destroyed here, and
  /// nothing is delivered afterwards. Returns false where a sink still hangs: it is left behind with its thread, which
  /// the log says, and the process must end with _exit, before that thread finds statics destroyed.
  bool stop(Duration grace);

  // Any thread.
  /// What the sink of this id writes for a reader, from a fresh snapshot; the first sink that can where id is empty.
  /// Nothing where no sink of that id answers readers.
  std::optional<Result<Rendered>> render(std::string_view id, std::string_view accept);
  /// The ids of the sinks that answer readers, in order.
  std::vector<std::string> readable() const;
  /// All collectors, and what the sinks themselves lost, now.
  std::shared_ptr<const Snapshot> snapshot() const;

 private:
  using SinkList = std::vector<std::shared_ptr<Sink>>;

  void tick();
  void push() const noexcept;
  void addOwnFamilies(SnapshotBuilder& builder) const;
  SinkList sinks() const;

  const std::vector<Collector> collectors_;
  const std::shared_ptr<Undertaker> undertaker_;
  const std::uint64_t started_ns_;

  // Control thread only.
  std::vector<std::weak_ptr<Sink>> retired_;  // no longer configured, perhaps still delivering
  std::map<std::string, std::shared_ptr<SinkCounters>, std::less<>> counters_;
  std::thread ticker_;
  bool stopped_ = false;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  SinkList sinks_;
  Duration interval_{};
  std::uint64_t settings_ = 0;  // counts the calls of configure
  bool stopping_ = false;
};

}  // namespace lemonade::metrics
