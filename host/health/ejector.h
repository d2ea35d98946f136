// SPDX-License-Identifier: MIT
//
// Passive health: takes a backend out for a while when real traffic shows that it fails, whatever its checks say, and
// lets it back on probation. After Envoy's outlier detection, with two things of our own: a backend that hangs shows by
// the answers it owes, and no client can eject a backend.
//
//   failing  consecutive_failures connects in a row that fail, which only a backend can cause
//   suspect  as many sessions in a row that it ended before it answered, or as many exchanges since its last answer and
//            far longer ago than answers take in this pool: a client may have caused that, so it is tried
//            (balance/trial.h)
//   convict  where the trial shows that clients fail there and not elsewhere (evidence.h); it hangs where an answer
//   takes
//            unanswered_timeout, and far longer than in this pool. Where nobody answers, as with one-way protocols,
//            nobody hangs
//   outlier  one that fails a larger share of its clients than its pool, or is so many times slower, where that is
//            asked for: suspected and tried, too (outliers.h)
//   out for  base_time * ejections in a row, at most max_time; each base_time without one takes back one
//   or until where its connects failed, which is what checks can judge: as many of them passed since as take a backend
//            up. Believed once: one that is ejected again after that serves its time
//   never    more than max_share of the pool (but one), or the last one that is fit
//
// The same checks void the failed connects of a backend that was not ejected for them: strategies that remember
// failures may have shunned it ever since, so that no traffic tells them that it is well.
//
// Workers raise suspicions (Pool::noteFailure), control decides. Control thread only, but for the counter.
#pragma once

#include "balance/counters.h"
#include "balance/pool.h"
#include "base/clock.h"
#include "base/control_loop.h"
#include "base/fd.h"
#include "health/outliers.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace lemonade::health {

struct EjectionSettings {
  bool enabled = true;
  std::uint32_t consecutive_failures = 3;  ///< at least 1
  Duration base_time = std::chrono::seconds(10);
  Duration max_time = std::chrono::minutes(5);  ///< at least base_time
  double max_share = 0.5;                       ///< 0 to 1; one may always be ejected
  Duration unanswered_timeout = std::chrono::seconds(2);
  std::uint32_t rise = 2;    ///< checks that pass in a row and void failed connects, at least 1
  double failing_share = 0;  ///< as OutlierSettings
  double slow_factor = 0;    ///< as OutlierSettings
};

class Ejector {
 public:
  /// Hears of a backend that was ejected or is back, after Backend::setEjected and the log. Must not call the ejector.
  using OnFlip = std::function<void(const std::shared_ptr<Backend>&)>;

  /// Both must outlive this; the clock of the loop tells the time. Before the workers run. Throws std::system_error
  /// without descriptors.
  Ejector(ControlLoop& loop, Pool& pool, OnFlip on_flip);
  ~Ejector();
  Ejector(const Ejector&) = delete;
  Ejector& operator=(const Ejector&) = delete;

  /// Holds from the next decision on; where it disables, everybody is back at once.
  void configure(const EjectionSettings& settings);
  /// The backends to judge. Those judged before keep their record; those missing are let go of.
  void setBackends(const std::vector<std::shared_ptr<Backend>>& backends);
  /// Its checks took it down and up again: it has a clean record, and is back at once where it was ejected, which is
  /// what is returned.
  bool forgive(Backend& backend);
  /// A check of a backend ended that began at began_ns (monotonic).
  void heardCheck(Backend& backend, bool passed, std::uint64_t began_ns);
  /// How a backend stands with the ejector, for another process to go on from. Times are monotonic nanoseconds.
  struct Standing {
    bool ejected = false;
    std::string reason{};           ///< of the ejection
    std::uint64_t ejected_ns = 0;   ///< the last time; 0: never
    std::uint64_t until_ns = 0;     ///< when that one ends at the latest
    std::uint64_t returned_ns = 0;  ///< from it; 0: never, or it is out
    std::uint32_t in_a_row = 0;     ///< ejections
    bool trusted = false;           ///< it returned by its checks, not by time
    bool checks_decide = false;     ///< they may end the ejection
  };
  Standing standing(const Backend& backend) const;
  /// Goes on from there; tells nobody but the backend. Before it is judged for the first time.
  void resume(Backend& backend, const Standing& standing);
  /// Decides nothing any more, for good. Also where the loop has stopped.
  void stop();

  /// Ejections so far. Any thread.
  std::uint64_t ejections() const noexcept { return ejections_.value(); }

 private:
  struct Record;

  void onSuspicion();
  void look();
  struct Census;
  void judgeConnects(Record& record, Census& census);
  void judgeSessions(Record& record, std::uint64_t now, Census& census);
  bool isSuspect(const Record& record, std::uint64_t now) const noexcept;
  Census count() const;
  void eject(Record& record, const std::string& reason, bool shows_in_checks, Census& census);
  void letBackAfter(Record& record, Duration time);
  void letBack(Record& record, const char* why, bool trusted);

  ControlLoop& loop_;
  const Clock& clock_;
  Pool& pool_;
  const OnFlip on_flip_;
  const Fd suspicions_;  // readable while workers have raised some
  EjectionSettings settings_;
  Outliers outliers_;
  std::unordered_map<const Backend*, std::unique_ptr<Record>> records_;
  ControlLoop::TimerId looking_ = 0;
  std::uint64_t usual_ns_ = 0;  // what answers take in the pool, the median; 0: nobody answers
  std::uint64_t faded_ns_ = 0;
  Counter ejections_;
};

}  // namespace lemonade::health
