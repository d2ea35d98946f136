// SPDX-License-Identifier: MIT
//
// One metrics sink at work: its instance, its queues and its thread. Each push sink has a thread of its own, so one
// that hangs starves no other. Queues are bounded, in number and by time, and overflow drops the oldest, so no producer
// ever waits.
//
// A call that outlasts its deadline is an overrun: it is counted, said once, and no snapshot waits for its end. A sink
// whose call was broken off is broken: it is called and fed no more.
//
// An instance is destroyed on the control thread only, and never while a call of it is under way. So a Sink is shared
// by its thread, by renders under way and by the Publisher, and whoever lets go last hands the instance to the
// Undertaker.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "metrics/session_batch.h"
#include "metrics/snapshot.h"
#include "plugin/instance.h"

namespace lemonade::metrics {

/// A created sink. The last owner lets go of it on the control thread.
using SinkHandle = std::shared_ptr<plugin::Instance<lemonade_metrics_sink_t>>;

/// A backend whose observed health flipped.
struct HealthEvent {
  std::uint64_t unix_ns = 0;
  std::uint64_t identity = 0;
  std::string id = {};
  std::string name = {};
  std::string address = {};
  std::uint32_t state = LEMONADE_HEALTH_DOWN;  ///< LEMONADE_HEALTH_*
  std::string reason = {};
};

/// What a pull sink wrote.
struct Rendered {
  std::string content_type;
  std::string body;
};

/// How much may wait for a sink, and how often what goes wrong is logged.
struct SinkLimits {
  Duration interval = std::chrono::seconds(10);
  std::uint32_t metrics_cap = 10'000;  ///< series in all snapshots waiting; the newest snapshot is always kept
  std::uint32_t health_cap = 1'000;    ///< health events waiting
  std::uint32_t records_cap = 50'000;  ///< session records in all batches waiting; the newest batch is always kept
  std::uint32_t age_cap = 6;           ///< intervals that anything waits
  Duration render_limit = std::chrono::seconds(5);  ///< a reader that waits longer has those refused that come after it
};

/// What was lost at a sink, in this process and those before it.
struct SinkLosses {
  std::uint64_t dropped_series = 0;
  std::uint64_t dropped_health_events = 0;
  std::uint64_t dropped_records = 0;
  std::uint64_t errors = 0;
  std::uint64_t overruns = 0;  ///< calls that outlasted their deadline
};

/// What is lost at a sink, by id: goes on when the sink is replaced. Any thread.
struct SinkCounters {
  std::atomic<std::uint64_t> dropped_series{0};
  std::atomic<std::uint64_t> dropped_health_events{0};
  std::atomic<std::uint64_t> dropped_records{0};
  std::atomic<std::uint64_t> errors{0};
  std::atomic<std::uint64_t> overruns{0};
  // In processes before this one.
  std::atomic<std::uint64_t> inherited_series{0};
  std::atomic<std::uint64_t> inherited_health_events{0};
  std::atomic<std::uint64_t> inherited_records{0};
  std::atomic<std::uint64_t> inherited_errors{0};
  std::atomic<std::uint64_t> inherited_overruns{0};

  SinkLosses total() const noexcept {
    return {dropped_series + inherited_series, dropped_health_events + inherited_health_events,
            dropped_records + inherited_records, errors + inherited_errors, overruns + inherited_overruns};
  }
};

/// Takes instances that are no longer called to the control thread, to be destroyed there. After close() instances are
/// kept for ever: the process is about to end, and an abandoned thread may come back at any time. Any thread.
class Undertaker {
 public:
  using Post = std::function<void(std::function<void()>)>;
  explicit Undertaker(Post post) : post_(std::move(post)) {}
  void bury(SinkHandle handle);
  void close();

 private:
  std::mutex mutex_;
  Post post_;
};

/// Sinks are asked to open their files anew. Shared by all that have yet to do so: the last that lets go of it calls
/// done, with a sentence for each that could not. Any thread.
class Reopening {
 public:
  /// What became of it: how many sinks did, and a sentence for each that could not.
  struct Outcome {
    std::size_t reopened = 0;
    std::vector<std::string> problems = {};
  };
  using Done = std::function<void(Outcome)>;

  explicit Reopening(Done done) : done_(std::move(done)) {}
  ~Reopening();
  Reopening(const Reopening&) = delete;
  Reopening& operator=(const Reopening&) = delete;

  void succeeded();
  void failed(std::string problem);

 private:
  const Done done_;
  std::mutex mutex_;
  Outcome outcome_;
};

class Sink : public std::enable_shared_from_this<Sink> {
 public:
  Sink(SinkHandle handle, const SinkLimits& limits, std::shared_ptr<SinkCounters> counters,
       std::shared_ptr<Undertaker> undertaker);
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // Constant after construction.
  const std::string& id() const noexcept { return id_; }
  bool pushes() const noexcept { return pushes_; }
  bool hearsHealth() const noexcept { return hears_health_; }
  bool renders() const noexcept { return renders_; }
  bool takesRecords() const noexcept { return takes_records_; }
  bool reopens() const noexcept { return reopens_; }
  const SinkCounters& counters() const noexcept { return *counters_; }

  /// A call of it was broken off, and it is called no more. Any thread.
  bool isBroken() const noexcept { return broken_.load(std::memory_order_relaxed); }

  // Control thread.
  const SinkHandle& handle() const noexcept { return handle_; }
  /// Starts the thread, where there is anything to feed.
  void start();
  void configure(const SinkLimits& limits);
  /// What is queued is delivered until deadline_ns of the monotonic clock; then the thread ends.
  void close(std::uint64_t deadline_ns);
  /// True when the thread and all renders ended; waits for that until deadline_ns.
  bool awaitEnd(std::uint64_t deadline_ns);
  /// True where the instance is no longer in use; it was then let go of here.
  bool release();

  // Any thread; never waits for the sink.
  void push(std::shared_ptr<const Snapshot> snapshot);
  void push(HealthEvent event);
  void push(std::shared_ptr<const SessionBatch> batch);
  /// So many records were lost on their way to this sink.
  void noteDropped(std::uint64_t records);
  void push(std::shared_ptr<Reopening> reopening);
  /// Looks whether the call under way outlasts its deadline, and drops what has waited for too long.
  void look();

  /// Writes a snapshot on the calling thread. Any thread, several at once.
  Result<Rendered> render(const Snapshot& snapshot, std::string_view accept);
  /// It is neither broken nor does it hang in render(), which would refuse. Any thread.
  bool answers();

 private:
  /// Something that waits, and since when.
  template <class What>
  struct Waiting {
    What what;
    std::uint64_t since_ns = nowNs();
  };
  /// A call of the sink's functions; counted as an overrun once.
  struct CallUnderWay {
    const char* function = "";
    std::uint64_t began_ns = 0;  ///< 0: there is none
    std::uint64_t deadline_ns = 0;
    bool overran = false;

    bool isLate(std::uint64_t now_ns) const noexcept { return began_ns != 0 && now_ns > deadline_ns; }
  };
  const lemonade_metrics_sink_t& table() const noexcept { return handle_->table(); }
  void run();
  bool deliverNext(std::unique_lock<std::mutex>& lock);
  std::uint64_t deadline() const noexcept;
  void begin(const char* function, std::uint64_t deadline_ns) noexcept;
  void end(std::unique_lock<std::mutex>& lock);
  template <class Call>
  bool call(plugin::Function function, Call&& call);
  void deliver(const HealthEvent& event);
  void deliver(const SessionBatch& batch, std::uint64_t dropped, std::uint64_t deadline_ns) noexcept;
  void deliver(Reopening& reopening);
  void deliver(const Snapshot& snapshot, std::uint64_t deadline_ns) noexcept;
  std::string whyNotRendering(std::uint64_t now_ns) const;
  Result<Rendered> renderNow(const Snapshot& snapshot, std::string_view accept);
  void failed(const std::string& what);
  void takeOut();
  // Of what waits; with the mutex
  void dropSnapshots(std::size_t keep) noexcept;
  void dropBatch() noexcept;
  void dropOld(std::uint64_t now_ns) noexcept;
  bool noteOverrun(std::uint64_t now_ns) noexcept;
  bool idle() const noexcept { return !running_ && rendering_ == 0; }

  const std::string id_;
  const bool pushes_;
  const bool hears_health_;
  const bool renders_;
  const bool takes_records_;
  const bool reopens_;
  const std::shared_ptr<SinkCounters> counters_;
  const std::shared_ptr<Undertaker> undertaker_;

  std::atomic<bool> broken_{false};

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  SinkHandle handle_;  // empty once released; read without the mutex by who made idle() false
  SinkLimits limits_;
  std::deque<Waiting<std::shared_ptr<const Snapshot>>> snapshots_;
  std::size_t queued_series_ = 0;
  std::deque<Waiting<HealthEvent>> events_;
  std::deque<Waiting<std::shared_ptr<const SessionBatch>>> batches_;
  std::size_t queued_records_ = 0;
  std::uint64_t dropped_untold_ = 0;  // records that were lost since the last batch
  std::deque<std::shared_ptr<Reopening>> reopenings_;
  std::uint64_t close_deadline_ns_ = 0;
  bool closing_ = false;
  bool running_ = false;
  CallUnderWay call_;
  std::uint32_t rendering_ = 0;
  std::uint64_t render_moved_ns_ = 0;  // when a render last ended, or the first of those under way began
  std::uint64_t error_logged_ns_ = 0;
  std::uint64_t errors_unlogged_ = 0;
};

}  // namespace lemonade::metrics
