// SPDX-License-Identifier: MIT
//
// What has happened of late: rates of the last ten seconds and samples of the last minute, as differences of what is
// counted for good. Marks are set every kTick, so that a figure is right also for who asks once; between two marks
// nothing is done. What processes before this one have counted comes all at once and is no rate: it is left out.
#pragma once

#include "balance/backend.h"
#include "balance/histogram.h"
#include "base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lemonade {

/// What came to a listener, a pool or a backend, ever.
struct Tally {
  std::uint64_t clients = 0;  ///< of a backend: connects that were tried
  std::uint64_t exchanges = 0;
  std::uint64_t errors = 0;

  bool operator==(const Tally&) const noexcept = default;
};

/// The same of late, a second.
struct Rates {
  double clients = 0;
  double exchanges = 0;
  double errors = 0;
  double error_share = 0;  ///< errors of clients, 0 to 1
};

/// The marks of one tally. One thread.
class TallyHistory {
 public:
  /// It is as if at this time nothing had come yet.
  explicit TallyHistory(std::uint64_t began_ns) { marks_[0].at_ns = began_ns; }
  /// Sets a mark. Times never go back.
  void mark(std::uint64_t now_ns, const Tally& tally) noexcept;
  /// Since the newest mark that is 10 s old, or the oldest.
  Rates rates(std::uint64_t now_ns, const Tally& tally) const noexcept;
  const Tally& newest() const noexcept { return marks_[0].tally; }

 private:
  struct Mark {
    std::uint64_t at_ns = 0;
    Tally tally{};
  };
  std::array<Mark, 3> marks_{};  // newest first
  std::size_t count_ = 1;
};

/// The samples of one histogram between marks; a minute without samples takes no memory. One thread.
class TimesHistory {
 public:
  /// Sets a mark where the histogram has counted so much. What was counted kMarks before is forgotten.
  void mark(const Histogram::Sum& ever);
  /// The same where it has counted nothing since the mark before.
  void markQuiet();
  /// What came since the oldest mark.
  Histogram::Sum recent(const Histogram::Sum& ever) const noexcept;

  static constexpr std::size_t kMarks = 12;

 private:
  struct Part {
    std::uint64_t sum_ns = 0;
    std::vector<std::pair<std::uint8_t, std::uint32_t>> buckets{};  // which, and the samples in it
  };
  static_assert(Histogram::kBuckets <= 256);

  std::unique_ptr<Histogram::Sum> newest_;  // at the newest mark; null: nothing yet
  std::array<Part, kMarks> parts_{};
  std::size_t next_ = 0;
};

/// All of them. Any thread, but for mark().
class Recent {
 public:
  static constexpr Duration kTick = std::chrono::seconds(5);

  explicit Recent(std::uint64_t started_ns) : marked_ns_(started_ns) {}

  /// What a listener, or a pool, has counted by now.
  struct ListenerNow {
    std::string name;
    Tally tally;
  };
  struct PoolNow {
    std::string name;
    Tally tally;
    Histogram::Sum queue_time;
  };
  /// What a backend has done of late.
  struct OfBackend {
    Rates rates;
    Histogram::Sum connect_time;
    Histogram::Sum exchange_time;
  };

  /// Sets a mark for everything that there is now; what is not named is forgotten. Every kTick; one thread.
  void mark(std::uint64_t now_ns, const std::vector<ListenerNow>& listeners, const std::vector<PoolNow>& pools,
            std::span<const std::shared_ptr<Backend>> backends);

  Rates of(std::uint64_t now_ns, const ListenerNow& listener) const;
  /// With the times in its queue.
  std::pair<Rates, Histogram::Sum> of(std::uint64_t now_ns, const PoolNow& pool) const;
  OfBackend of(std::uint64_t now_ns, const Backend& backend) const;

 private:
  struct PoolHistory {
    TallyHistory tally;
    TimesHistory queue_time{};
  };
  struct BackendHistory {
    TallyHistory tally;
    TimesHistory connect_time{};
    TimesHistory exchange_time{};
  };
  template <class Key, class History>
  History& goOn(std::unordered_map<Key, History>& before, std::unordered_map<Key, History>& after, const Key& key,
                const Tally& tally) const;

  mutable std::mutex mutex_;  // guards what follows
  std::uint64_t marked_ns_;
  std::unordered_map<std::string, TallyHistory> listeners_;
  std::unordered_map<std::string, PoolHistory> pools_;
  std::unordered_map<std::uint64_t, BackendHistory> backends_;  // by identity
};

/// What counts as an error: clients of the listener or of the pool that failed; connects and sessions of the backend
/// that did.
std::uint64_t errorsOf(const ListenerCounters& counters) noexcept;
std::uint64_t errorsOf(const PoolCounters& counters) noexcept;
std::uint64_t errorsOf(const BackendCounters& counters) noexcept;

}  // namespace lemonade
