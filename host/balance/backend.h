// SPDX-License-Identifier: MIT
//
// A backend as the balancer knows it while it runs: what the operator configured, its identity, its live numbers and
// its observed health. A reload replaces what is configured; what was observed stays.
//
// Identity is the pool together with the configured id and the resolved address: two pools may have a backend of the
// same id and address, and these are two backends. A backend lives until it left the pool and its last session ended;
// sessions hold plain pointers, counted by stats().active.
#pragma once

#include "balance/address.h"
#include "balance/counters.h"
#include "balance/override.h"
#include "balance/per_worker.h"
#include "balance/slow_start.h"
#include "balance/trial.h"
#include "config/config.h"

#include <lemonade/strategy.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace lemonade {

class Backend {
 public:
  /// settings are as configured; of a service with the host, port, weight and priority of its record. address has
  /// family AF_UNSPEC where the name does not resolve: such a backend is never eligible. pool is the name of its pool.
  Backend(config::Backend settings, const Address& address, std::uint32_t workers, std::string pool = kDefaultPool);
  static constexpr const char* kDefaultPool = config::kDefaultName;

  // Constant after construction.
  const std::string& id() const noexcept { return id_; }
  const std::string& pool() const noexcept { return pool_; }
  const Address& address() const noexcept { return address_; }
  bool resolved() const noexcept { return address_.family() != AF_UNSPEC; }
  /// "10.0.1.10:8080"; while unresolved "name:port", or "srv:_http._tcp.name".
  const std::string& addressText() const noexcept { return address_text_; }
  std::uint64_t identity() const noexcept { return identity_; }
  /// The identity of a backend that is made from the same settings, address and pool.
  static std::uint64_t identityOf(const config::Backend& settings, const Address& address,
                                  const std::string& pool = kDefaultPool);

  /// Makes counters for so many workers, where it has fewer. Control thread, before any of them picks.
  void addWorkers(std::uint32_t workers) { counters_.grow(workers); }

  /// Replaces what is configured; id, host and port stay the same. Control thread; the pool publishes a view
  /// afterwards.
  void apply(config::Backend settings);
  /// What is configured now. Control thread.
  const config::Backend& settings() const noexcept { return *settings_; }
  /// What is configured now, to keep: it stays as it is when something else is applied. Any thread.
  std::shared_ptr<const config::Backend> sharedSettings() const;

  /// What operators have changed of it while it runs; of weight(), maxConnections(), enabled() and draining() that
  /// counts instead of what is configured. At most one for each action. Control thread; the pool publishes a view
  /// afterwards.
  void setOverrides(std::vector<Override> overrides);
  /// Any thread.
  std::vector<Override> overrides() const;

  // Observed health: written by the control thread, read by any.
  bool healthy() const noexcept { return healthy_.load(std::memory_order_relaxed); }
  /// Returns true where this flipped the state. reason is a few words, kept for status and logs.
  bool setHealth(bool healthy, const std::string& reason);
  std::string healthReason() const;
  /// Its checks pass, and say that it is unwell. setDegraded (control thread) returns true where that changes it. Any
  /// thread.
  bool degraded() const noexcept { return degraded_.load(std::memory_order_relaxed); }
  bool setDegraded(bool degraded) noexcept {
    return degraded_.exchange(degraded, std::memory_order_relaxed) != degraded;
  }
  /// The same as another process left it, which flipped it then. Control thread.
  void inheritHealth(bool healthy, const std::string& reason, bool degraded, std::uint64_t since_unix_ns);
  /// Wall clock of the last flip of its health or ejection, 0 for never. Any thread.
  std::uint64_t healthSinceUnixNs() const noexcept { return health_since_.load(std::memory_order_relaxed); }

  /// It has left the pool, or an operator has it drained.
  bool draining() const noexcept {
    return draining_.load(std::memory_order_relaxed) || held_back_.load(std::memory_order_relaxed);
  }
  void setDraining(bool draining) noexcept { draining_.store(draining, std::memory_order_relaxed); }

  // Any thread: copies of those settings that are read for each pick, as overrides have them.
  bool enabled() const noexcept { return enabled_.load(std::memory_order_relaxed); }
  std::uint32_t weight() const noexcept { return weight_.load(std::memory_order_relaxed); }
  std::uint32_t maxConnections() const noexcept { return max_connections_.load(std::memory_order_relaxed); }
  std::uint32_t priority() const noexcept { return priority_.load(std::memory_order_relaxed); }
  /// Valid as long as the backend, and of that text for good: a reload that renames it leads to another one.
  const std::string& name() const noexcept { return *name_.load(std::memory_order_acquire); }

  /// Taken out for a while because its sessions fail, whatever its checks say. Written by the control thread.
  bool ejected() const noexcept { return ejected_.load(std::memory_order_relaxed); }
  /// reason is a few words, kept for status. While its checks fail it counts as down, before and after.
  void setEjected(bool ejected, const std::string& reason);
  std::string ejectionReason() const;

  /// It leads back to one of our own listeners. Written by the control thread.
  bool loops() const noexcept { return loops_.load(std::memory_order_relaxed); }
  void setLoops(bool loops) noexcept { loops_.store(loops, std::memory_order_relaxed); }

  /// It is meant to take connections: enabled, resolved, not draining, weight above 0, and not ourselves.
  bool inService() const noexcept { return enabled() && resolved() && !draining() && weight() > 0 && !loops(); }
  /// It is found fit to: its checks pass and its sessions do not fail.
  bool fit() const noexcept { return healthy() && !ejected(); }

  /// How its last failure looked; written by workers.
  enum class Failure : std::uint8_t {
    kNone,
    kRefused,
    kTimeout,
    kConnectError,
    kReset,   ///< before it answered
    kClosed,  ///< before it answered, and before the client had finished
  };
  Failure lastFailure() const noexcept { return last_failure_.load(std::memory_order_relaxed); }
  void setLastFailure(Failure failure) noexcept { last_failure_.store(failure, std::memory_order_relaxed); }
  /// Sessions in a row that it reset or closed before it answered, which a client may have caused; written like
  /// stats(). Strategies do not see them: a client must not make them shun a backend.
  std::uint32_t& doubts() noexcept { return doubts_; }
  /// Connects to it that failed and sessions that it ended before it answered, ever, whoever caused them; wraps.
  /// Written like stats().
  std::uint32_t& failures() noexcept { return failures_; }
  const std::uint32_t& failures() const noexcept { return failures_; }
  /// A worker asks control to look whether it should be ejected; true where nobody had asked yet.
  bool raiseSuspicion() noexcept { return !suspected_.exchange(true, std::memory_order_relaxed); }
  bool takeSuspicion() noexcept { return suspected_.exchange(false, std::memory_order_relaxed); }

  /// Its trial while it is under suspicion, else null. Any thread; it lives as long as the backend.
  Trial* trial() const noexcept { return trial_.load(std::memory_order_acquire); }
  /// Begins its trial, or goes on with it. slow_ns as Trial::setSlowNs has it. Control thread.
  void setSuspected(bool suspected, std::uint64_t slow_ns = 0);
  /// What its trial came to so far; it stays when the trial ends, see Trial::take. Control thread.
  Trial::Outcomes takeOutcomes(std::uint64_t late_since_ns, std::uint64_t slow_since_ns = 0) noexcept {
    return own_trial_ != nullptr ? own_trial_->take(late_since_ns, slow_since_ns) : Trial::Outcomes{};
  }

  /// Its slow start. Control thread, by the pool.
  Ramp& ramp() noexcept { return ramp_; }

  /// The live numbers that strategies read; written by workers with relaxed atomics.
  lemonade_backend_stats_t& stats() noexcept { return stats_; }
  /// When each average of stats() got its newest sample; written like them.
  struct SampleTimes {
    std::uint64_t connect_ns = 0;
    std::uint64_t exchange_ns = 0;
  };
  SampleTimes& sampleTimes() noexcept { return sample_times_; }
  /// The exchanges that began since the last answer; those whose client gave up count too. Written like them.
  struct Unanswered {
    std::uint32_t count = 0;
    std::uint64_t since_ns = 0;  ///< when the first of them began
  };
  Unanswered& unanswered() noexcept { return unanswered_; }
  const lemonade_backend_stats_t& stats() const noexcept { return stats_; }
  /// What was learnt of its speed; written like stats().
  lemonade_backend_speed_t& speed() noexcept { return speed_; }
  const lemonade_backend_speed_t& speed() const noexcept { return speed_; }
  std::uint32_t active() const noexcept { return lemonade_load_u32(&stats_.active); }

  /// One worker's counters; written by that worker alone. Any thread, worker is below workers().
  BackendCounters& counters(std::uint32_t worker) noexcept { return counters_[worker]; }
  const BackendCounters& counters(std::uint32_t worker) const noexcept { return counters_[worker]; }
  std::uint32_t workers() const noexcept { return counters_.size(); }
  /// Where the totals of processes before this one are kept; made when first asked for. Control thread, which alone
  /// writes there.
  BackendCounters& inherited();
  /// Visits all counters that add up to its totals: those of each worker, and the inherited ones. Any thread.
  template <class Visit>
  void forEachCounters(Visit&& visit) const {
    for (std::uint32_t worker = 0; worker < workers(); ++worker) visit(counters(worker));
    if (const auto* inherited = inherited_.load(std::memory_order_acquire); inherited != nullptr) visit(*inherited);
  }

 private:
  void useOverrides();

  alignas(64) lemonade_backend_stats_t stats_{};
  alignas(64) lemonade_backend_speed_t speed_{};
  SampleTimes sample_times_;
  Unanswered unanswered_;
  std::uint32_t doubts_ = 0;
  std::uint32_t failures_ = 0;
  std::atomic<Trial*> trial_{nullptr};
  std::atomic<Failure> last_failure_{Failure::kNone};
  std::atomic<bool> suspected_{false};

  const std::string pool_;
  const std::string id_;
  const Address address_;
  const std::string address_text_;
  const std::uint64_t identity_;
  PerWorker<BackendCounters> counters_;
  std::unique_ptr<BackendCounters> own_inherited_;
  std::atomic<const BackendCounters*> inherited_{nullptr};

  Ramp ramp_;
  std::shared_ptr<Trial> own_trial_;  // made when it is first suspected, for good

  std::atomic<bool> healthy_{true};
  std::atomic<bool> degraded_{false};
  std::atomic<bool> ejected_{false};
  std::atomic<bool> draining_{false};
  std::atomic<bool> held_back_{false};  // by an override
  std::atomic<bool> loops_{false};
  std::atomic<bool> enabled_{true};
  std::atomic<std::uint32_t> weight_{1};
  std::atomic<std::uint32_t> max_connections_{0};
  std::atomic<std::uint32_t> priority_{0};
  std::atomic<std::uint64_t> health_since_{0};
  std::atomic<const std::string*> name_{nullptr};
  std::vector<std::unique_ptr<const std::string>> names_;  // control thread; the last is the one in force

  mutable std::mutex
      mutex_;  // guards what follows; the control thread, which alone writes it, reads the first two without
  std::shared_ptr<const config::Backend> settings_;
  std::vector<Override> overrides_;
  std::string health_reason_;
  std::string ejection_reason_;
};

}  // namespace lemonade
