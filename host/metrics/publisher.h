// SPDX-License-Identifier: MIT
//
// Feeds the metrics sinks: a snapshot of all collectors every interval to those that push, one on demand from those
// that are asked, health events as they happen, and records of sessions some 50 ms after these have ended. A sink that
// is slow loses its own and nobody else's.
//
// Belongs to the control thread; render() and snapshot() are for any thread. One thread makes the snapshots, and it
// sleeps where no sink pushes; another one fetches the records from the workers, and there is none where no sink takes
// records. stop() comes before destruction.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "metrics/sink.h"

namespace lemonade::metrics {

/// Where session records come from.
struct RecordSource {
  using Visit = std::function<void(SessionRecordLane&)>;
  std::function<void(bool)> want;                   ///< whether workers keep them from now on; control thread
  std::function<void(const Visit&)> for_each_lane;  ///< any thread
};

class Publisher {
 public:
  /// collectors stay callable until stop() returned and no render() is under way. to_control runs a task soon on the
  /// control thread (ControlLoop::post). started_ns: when the process began, on the monotonic clock.
  /// records stays callable as long as collectors; without functions there are no records.
  Publisher(std::vector<Collector> collectors, Undertaker::Post to_control, std::uint64_t started_ns = nowNs(),
            RecordSource records = {});
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
  /// Has every sink that can open anew what it writes to. Calls done once, on any thread, when all have: at once where
  /// none can, and never where one hangs.
  void reopen(Reopening::Done done);
  /// Looks after sinks that take too long, for want of anybody else; to be called every now and then.
  void look();
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
  /// True where the sink that render() would ask can be asked: it is not broken, and does not hang.
  bool answers(std::string_view id) const;
  /// The ids of the sinks that are called no more, as a call of them was broken off.
  std::vector<std::string> broken() const;
  /// The ids of the sinks that answer readers, in order.
  std::vector<std::string> readable() const;
  /// All collectors, and what the sinks themselves lost, now.
  std::shared_ptr<const Snapshot> snapshot() const;

 private:
  using SinkList = std::vector<std::shared_ptr<Sink>>;

  void tick();
  void followRecords(bool wanted);
  void fetch(const std::stop_token& stopped);
  void takeRecords() noexcept;
  void forward(std::shared_ptr<SessionBatch>& batch, const SinkList& to);
  void push() const noexcept;
  void addOwnFamilies(SnapshotBuilder& builder) const;
  SinkList sinks() const;

  const std::vector<Collector> collectors_;
  const std::shared_ptr<Undertaker> undertaker_;
  const std::uint64_t started_ns_;
  const RecordSource source_;

  // Control thread only.
  std::vector<std::weak_ptr<Sink>> retired_;  // no longer configured, perhaps still delivering
  std::map<std::string, std::shared_ptr<SinkCounters>, std::less<>> counters_;
  std::thread ticker_;
  bool stopped_ = false;

  /// Held while records are fetched and handed on, and while sinks come and go: what has been fetched reaches those who
  /// were there. Before mutex_.
  std::mutex records_mutex_;
  std::condition_variable_any fetching_;
  std::uint64_t lane_drops_ = 0;  // that sinks were told of; guarded by records_mutex_
  std::jthread fetcher_;          // control thread; joinable while some sink takes records

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  SinkList sinks_;
  Duration interval_{};
  std::uint64_t settings_ = 0;  // counts the calls of configure
  bool stopping_ = false;
};

}  // namespace lemonade::metrics
