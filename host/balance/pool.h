// SPDX-License-Identifier: MIT
//
// The pool: the backends, the strategy, and the pick that joins them. Control changes it and publishes views; workers
// pick from the newest view with one atomic load. A backend that leaves the pool lives on until its last session ended.
#pragma once

#include "balance/address.h"
#include "balance/backend.h"
#include "balance/per_worker.h"
#include "balance/pick_recorder.h"
#include "balance/pool_at_worker.h"
#include "balance/pool_settings.h"
#include "balance/quiescence.h"
#include "balance/shadow.h"
#include "balance/strategy.h"
#include "balance/view.h"
#include "base/clock.h"

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace lemonade {

/// The outcome of a pick.
struct Picked {
  enum class What { kBackend, kNone, kRejected };
  What what = What::kNone;
  Backend* backend = nullptr;    ///< of kBackend: a place is taken there, give it back with Pool::release
  std::uint64_t cookie = 0;      ///< the strategy's
  std::uint64_t generation = 0;  ///< of the strategy that picked; 0 where the host picked in its place
  Trial* trial = nullptr;        ///< the connection takes part in it; valid as a backend of the view is
  Trial::Arm arm{};              ///< of that trial
  bool full = false;             ///< of kNone: a backend that would do is, or just was, at its limit
  bool declined = false;         ///< the strategy gave no backend though there was one; of kBackend: the host did
  bool invalid = false;          ///< the strategy's answer was unusable, the host picked in its place
  const plugin::InstanceInfo* asked = nullptr;  ///< the strategy; valid until the worker next announces itself
};

/// Where the client of a connection came to. Asked at most once in a pick, and only for a strategy that needs it.
class LocalAddressSource {
 public:
  /// Of family AF_UNSPEC where it is not known. Worker thread.
  virtual Address localAddress() const noexcept = 0;

 protected:
  ~LocalAddressSource() = default;
};

/// The backends that one connection has failed on of late: as many as retries allow, without allocation.
class Tried {
 public:
  static constexpr std::size_t kMost = 16;
  void add(const Backend& backend) noexcept {
    if (count_ < kMost) backends_[count_++] = &backend;
  }
  void clear() noexcept { count_ = 0; }
  std::span<const Backend* const> get() const noexcept { return {backends_.data(), count_}; }

 private:
  std::array<const Backend*, kMost> backends_{};
  std::uint32_t count_ = 0;
};

/// What a connection can do with backends, where that is not everything.
struct PickScope {
  using May = std::function<bool(const Backend&)>;
  /// What becomes of it will be told to the trial that it takes part in; else it takes part in none.
  bool on_trial = true;
  /// It can use those alone for which this is true; null: all. A coin obeys, strategies know nothing of it.
  const May* may = nullptr;
  bool allows(const Backend& backend) const noexcept { return may == nullptr || (*may)(backend); }
};

/// How the pool treats its backends, whatever the strategy.
struct PoolRules {
  double panic_threshold = 0;  ///< see eligibility.h
  SlowStart slow_start;
};

class Pool {
 public:
  /// name is that of the configuration. quiescence is that of the workers which pick here, so many at most, and must
  /// outlive the pool.
  Pool(std::string name, Quiescence& quiescence, std::uint32_t workers);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Constant after construction.
  const std::string& name() const noexcept { return name_; }

  // ---- control thread ----

  /// The most workers there have been; what is made for each worker is made for so many.
  std::uint32_t workers() const noexcept { return workers_; }
  /// Makes what so many workers need, where there is less. Fails, and changes nothing, where the strategy makes no
  /// lane.
  Status addWorkers(std::uint32_t workers);

  /// Replaces the strategy; publish() makes it pick.
  void setStrategy(std::shared_ptr<Strategy> strategy) { strategy_ = std::move(strategy); }
  const std::shared_ptr<Strategy>& strategy() const noexcept { return strategy_; }
  /// Has a second strategy be asked, too, of which nothing depends; null: none. publish() makes it so.
  void setShadow(std::shared_ptr<Strategy> shadow) { shadow_ = std::move(shadow); }
  const std::shared_ptr<Strategy>& shadow() const noexcept { return shadow_; }
  /// Replaces the backends; publish() makes it visible. Those that leave drain and live on while they have sessions:
  /// they are returned. One that comes back before that drains no more.
  View::Backends setBackends(View::Backends backends);
  /// The balancer's own zone, empty where nobody said; publish() tells the strategy.
  void setZone(std::string zone) {
    names_ = std::make_shared<const ViewNames>(ViewNames{.pool = name_, .zone = std::move(zone)});
  }
  void setRules(const PoolRules& rules) noexcept { rules_ = rules; }
  const PoolRules& rules() const noexcept { return rules_; }
  /// Has picks be written down from now on, in the place of what they were written to so far; null: nowhere.
  void setRecorder(std::shared_ptr<PickRecorder> recorder);
  /// Publishes the backends as they are now. Needs a strategy. True where a slow start makes the view old before long.
  bool publish(std::uint64_t now_ns = nowNs());
  /// From now on backends that begin to take clients start with all of their weight, until this is over. Not at first.
  void setStarting(bool starting) noexcept { starting_ = starting; }
  /// The view published last; null before the first, and after clear().
  const View* view() const noexcept { return view_.get(); }
  /// True where fewer backends are fit than the panic threshold asks for, so that all are used.
  bool panic() const noexcept { return panic_; }
  /// Looks whether every backend that may be picked is at its max_connections, and counts for how long they are. To be
  /// called a few times a second.
  void watchLimits(std::uint64_t now_ns) noexcept;
  /// Lets go of the strategy and of the view. No worker runs any more.
  void clear();
  /// Nothing leads here any more. From now on isUnused() finds out when the pool may be destroyed.
  void leave();
  bool hasLeft() const noexcept { return end_ != End::kUsed; }
  /// A listener is about to lead here again.
  void comeBack() noexcept;
  /// True once no session has this pool and no worker can reach it, so that it may be destroyed. To be asked now and
  /// then after leave(), and after Quiescence::reclaim().
  bool isUnused();
  /// Frees backends that left and have no session any more, whose views Quiescence::reclaim() has freed; returns how
  /// many are left to free.
  std::size_t reclaim();

  // ---- any thread ----

  /// The backends of the pool, in the order of the configuration.
  std::shared_ptr<const View::Backends> backends() const;
  /// Those that left and still have sessions.
  View::Backends leaving() const;
  /// How many backends may take connections now.
  std::uint32_t eligibleCount() const noexcept { return eligible_.load(std::memory_order_relaxed); }

  /// The live values; control writes them.
  PoolSettings& settings() noexcept { return settings_; }
  const PoolSettings& settings() const noexcept { return settings_; }
  /// The counters of each worker that there ever was.
  std::vector<const PoolCounters*> counters() const;
  /// Calls visit(const PoolAtWorker&) for each worker that there ever was.
  template <class Visit>
  void forEachWorker(Visit visit) const {
    for (std::uint32_t i = 0; i < at_workers_.size(); ++i) visit(at_workers_[i]);
  }
  /// Clients now that were given this pool.
  std::uint64_t sessions() const noexcept;
  /// The longest pick of late, in nanoseconds. now is monotonic.
  std::uint64_t slowestPick(std::uint64_t now) const noexcept;
  /// How long every backend that could be picked was at its max_connections; watchLimits() finds out.
  std::uint64_t fullNs() const noexcept { return full_ns_.value(); }

  // ---- worker threads ----

  /// What the calling worker has to do with this pool.
  PoolAtWorker& at(std::uint32_t worker) noexcept { return at_workers_[worker]; }
  /// The number of the newest view. What was picked after this was read was picked from that view, or a newer one.
  std::uint64_t serial() const noexcept { return published_.load(std::memory_order_acquire); }

  /// Picks a backend for a connection and takes a place there. connection.tried and tried_count are filled in here from
  /// tried, and where the strategy needs them local_address and local_family from local, if there is one. Allocates
  /// nothing.
  Picked pick(lemonade_connection_t& connection, const Tried& tried, const LocalAddressSource* local = nullptr,
              const PickScope& scope = {}) noexcept;

  /// The host's own choice, for who can use but few of the backends, and has found none of them in as many picks as
  /// Tried has room for: takes a place at one for which may() is true. Allocates nothing.
  Picked pickWhere(const PickScope::May& may) noexcept;

  /// Asks the shadow, if there is one, what it would answer a pick that follows; tried and local are that one's.
  ShadowAnswer askShadow(const lemonade_connection_t& connection, const Tried& tried,
                         const LocalAddressSource* local = nullptr) noexcept {
    return shadowed_.load(std::memory_order_relaxed) ? askShadowNow(connection, tried, local) : ShadowAnswer{};
  }
  /// Counts how that compares with what came of the pick, and takes it back where it did not come true. A coin's
  /// backend (see Trial) is nobody's choice and counts for nothing.
  ShadowTie settle(const ShadowAnswer& answer, const Picked& picked, const lemonade_connection_t& connection) noexcept {
    return answer.view != nullptr ? settleNow(answer, picked, connection) : ShadowTie{};
  }

  /// Gives back the place that a pick took.
  void release(Backend& backend) noexcept;

  /// A session queues for a place, until stopQueueing. After this it must look once more whether there is one.
  void startQueueing() noexcept { queued_.fetch_add(1); }
  void stopQueueing() noexcept { queued_.fetch_sub(1); }
  /// What to call when a place was offered to a worker, which is to look after it: on worker threads, must not block.
  /// Before a listener leads here.
  using Offered = std::function<void(std::uint32_t worker, PoolAtWorker& at)>;
  void onPlaceOffered(Offered call) { on_place_offered_ = std::move(call); }
  /// True where an eligible backend with a limit is below it.
  bool hasPlace() const noexcept;
  /// Offers a place that became free to the worker whose session waits longest, of those that wait since later than
  /// this, in monotonic nanoseconds; 0: of all. A session that has no use for the place it was offered has it offered
  /// on, with the time at which it queued.
  void offerPlace(std::uint64_t after) noexcept;

  /// A connect to this backend failed, or a session: it raises suspicion where that makes one too many in a row.
  void noteFailure(Backend& backend) noexcept;
  /// So many failures in a row are too many; 0: any number is fine. Any thread.
  void setSuspicious(std::uint32_t failures) noexcept { suspicious_.store(failures, std::memory_order_relaxed); }
  /// What to call when a suspicion is raised: on worker threads, must not block. Before the workers run.
  void onSuspicion(std::function<void()> call) { on_suspicion_ = std::move(call); }
  /// True where the strategy or the shadow wants to hear of this kind of event (LEMONADE_EVENT_*).
  bool wants(std::uint32_t type) const noexcept;
  /// Tells the strategy, and the shadow; generation is that of the pick, tie what settle() has said of it.
  void tell(std::uint32_t worker, lemonade_strategy_event_t& event, std::uint64_t generation,
            const ShadowTie& tie = {}) const noexcept;

 private:
  class Excluded;
  bool pickFrom(const View& view, const View::Tier& tier, lemonade_connection_t& connection, Excluded& excluded,
                const PickScope& scope, Picked& picked) noexcept;
  std::uint32_t tossCoin(const View& view, const View::Tier& tier, lemonade_connection_t& connection, Excluded excluded,
                         const PickScope& scope, std::uint32_t meant, Picked& picked) noexcept;
  static std::uint32_t ask(const Strategy& strategy, const View::Tier& tier, lemonade_connection_t& connection,
                           Picked& picked) noexcept;
  bool isDoubted(const Strategy& strategy, std::uint32_t worker) noexcept;
  template <class May>
  std::uint32_t pickInstead(const View::Tier& tier, const lemonade_connection_t& connection, May may) noexcept;
  bool isFull() const noexcept;
  /// How a backend came to be picked.
  enum class By { kStrategy, kHost, kCoin };
  void note(const View& view, const View::Tier& tier, const lemonade_connection_t& connection, std::uint32_t answer,
            By by) noexcept;
  ShadowAnswer askShadowNow(const lemonade_connection_t& connection, const Tried& tried,
                            const LocalAddressSource* local) const noexcept;
  ShadowTie settleNow(const ShadowAnswer& answer, const Picked& picked,
                      const lemonade_connection_t& connection) noexcept;
  static void tellOne(const Strategy& strategy, std::uint32_t worker, const lemonade_strategy_event_t& event) noexcept;

  const std::string name_;

  // Control thread only.
  Quiescence& quiescence_;
  std::uint32_t workers_;
  std::shared_ptr<Strategy> strategy_;
  std::shared_ptr<Strategy> shadow_;
  std::shared_ptr<const View> view_;
  std::shared_ptr<PickRecorder> recorder_;
  std::uint64_t serial_ = 0;
  std::shared_ptr<const ViewNames> names_;
  PoolRules rules_;
  bool panic_ = false;
  bool starting_ = false;
  std::uint64_t full_since_ns_ = 0;  // or since the last look; 0: it was not then
  /// How far the end of the pool has come; see isUnused().
  enum class End { kUsed, kLeft, kEmpty };
  End end_ = End::kUsed;
  std::weak_ptr<const void> reached_;  // lives as long as a worker may have read what led here

  PerWorker<PoolAtWorker> at_workers_;

  // Constant once the workers run.
  Offered on_place_offered_ = [](std::uint32_t, PoolAtWorker&) {};
  std::function<void()> on_suspicion_ = [] {};

  // Any thread.
  std::atomic<const View*> current_{nullptr};
  std::atomic<bool> shadowed_{false};  // the newest view has a shadow
  std::atomic<std::uint64_t> published_{0};
  std::atomic<PickRecorder*> recording_{nullptr};
  PoolSettings settings_;
  std::atomic<std::uint32_t> eligible_{0};
  Counter full_ns_;  // written by control
  std::atomic<std::uint32_t> next_instead_{0};
  std::atomic<std::uint32_t> suspicious_{0};
  std::atomic<std::uint32_t> queued_{0};  // sessions that wait for a place at a backend
  mutable std::mutex mutex_;
  std::shared_ptr<const View::Backends> backends_;  // the pointer is guarded by mutex_
  View::Backends leaving_;                          // guarded by mutex_, changed by the control thread only
};

}  // namespace lemonade
