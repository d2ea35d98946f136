// SPDX-License-Identifier: MIT
//
// One pool with everything that keeps it up to date: the names of its backends are resolved (Membership), the backends
// are checked (Monitor) and ejected (Ejector), and each change becomes a new view for the workers.
//
// Belongs to the balancer. Control thread only, but for what is marked "any thread".
#pragma once

#include "app/probation.h"
#include "balance/override.h"
#include "balance/resolution.h"
#include "balance/strategy.h"
#include "base/control_loop.h"
#include "base/result.h"
#include "config/config.h"

#include <lemonade/health_checker.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace lemonade {
class Backend;
class Heritage;
class Pool;
class Quiescence;
struct Handover;
struct OverrideState;
struct PoolTotals;
}  // namespace lemonade

namespace lemonade::plugin {
struct PluginFile;
}

namespace lemonade::health {
class Checks;
class Ejector;
class Monitor;
}  // namespace lemonade::health

namespace lemonade::app {

class Membership;
class Overrides;
class PickWatch;
class PoolHost;
class Rebalancing;
class Shadowing;
struct PreparationContext;
struct RunningPool;

class ManagedPool {
 public:
  using Backends = std::vector<std::shared_ptr<Backend>>;
  using Checker = plugin::Instance<lemonade_health_checker_t>;

  /// An empty pool of this name, for so many workers, which announce themselves to quiescence. That, context, checks,
  /// host and heritage must outlive this. Throws std::system_error without descriptors.
  ManagedPool(std::string name, Quiescence& quiescence, std::uint32_t workers, PreparationContext& context,
              health::Checks& checks, PoolHost& host, Heritage& heritage);
  /// After end().
  ~ManagedPool();
  ManagedPool(const ManagedPool&) = delete;
  ManagedPool& operator=(const ManagedPool&) = delete;

  const std::string& name() const noexcept { return name_; }
  /// What workers pick from. Any thread.
  Pool& pool() noexcept { return *pool_; }
  const Pool& pool() const noexcept { return *pool_; }

  // ---- taking a configuration over ----

  /// The state that the strategy of the process before has handed over, for the first strategy that is made here.
  void inherit(std::optional<Strategy::State> state) { handed_state_ = std::move(state); }
  /// Makes lanes for a prepared strategy, and has it import the state of the one that runs. The pool stays as it is
  /// until configure(). Without a prepared strategy this returns the one that runs.
  Result<std::shared_ptr<Strategy>> makeStrategy(std::optional<Strategy::Instance> prepared,
                                                 const config::PluginChoice& choice);
  /// Takes over its configuration, what its new names came to, its strategy and, where there is a new one, its checker;
  /// publishes a view before it returns. The listeners of the configuration are in use already.
  void configure(const config::Pool& config, const std::map<std::string, Resolution>& resolutions,
                 std::shared_ptr<Strategy> strategy, std::optional<Checker> checker);
  /// The content that the strategy which configure() is about to take over was made of, and the choice: what there was
  /// before is kept for the way back.
  void remember(std::shared_ptr<const plugin::PluginFile> file, const config::PluginChoice& choice);
  /// What is asked beside the strategy and decides nothing. What changes it is in force with the next view.
  Shadowing& shadowing() noexcept { return *shadowing_; }
  const Shadowing& shadowing() const noexcept { return *shadowing_; }
  /// Closes quiet sessions, where the configuration says so.
  const Rebalancing& rebalancing() const noexcept { return *rebalancing_; }
  /// The last picks, for who looks.
  PickWatch& pickWatch() noexcept { return *pick_watch_; }
  /// Goes on without the shadow where that is this instance, or of its content; publishes a view before it returns.
  /// False where it is not.
  bool dropShadow(const plugin::InstanceInfo& broken);
  /// The hash of the content of a shadow that was dropped so; "": none.
  const std::string& lostShadow() const noexcept;
  /// Has another strategy take the place of the one that runs: the last content of the same plugin, or of any, that is
  /// not quarantined, else the host's own choice. Publishes a view before it returns.
  void fallBack(bool of_any_plugin = false);
  /// The contents that may take the place of what the file of the strategy has, the newest first.
  std::vector<std::shared_ptr<const plugin::PluginFile>> earlierContents() const;
  /// For so long the strategy that has just been taken over is on probation, where another content ran before it.
  void beginProbation(Duration lasting);
  /// Why the strategy on probation is to be taken back; "": it is not. Asked now and then; ends what is over.
  std::string judgeProbation();
  /// The strategy that runs is what is chosen.
  void settle() noexcept { stands_in_hash_.clear(); }
  /// The strategy that configure() is about to take over stands in for the content of this hash.
  void standInFor(const std::string& hash) { stands_in_hash_ = hash; }
  /// The hash of the content that the strategy stands in for since; "": none.
  const std::string& standsInFor() const noexcept { return stands_in_hash_; }
  /// What runs here, for the preparation of a reload.
  RunningPool describe() const;
  /// Adds what each name of its backends leads to.
  void addNames(std::map<std::string, std::vector<Target>>& names) const;

  // ---- what operators change while it runs ----

  /// What the process before had overridden here. Before the first configure().
  void inherit(const std::vector<OverrideState>& overrides);
  /// Overrides something of one of its backends, for so long; 0: until the next reload of the file. Publishes a view
  /// before it returns; sessions at a backend that drains have the drain timeout to end. Returns it with its times.
  Override change(const std::shared_ptr<Backend>& backend, Override wanted, Duration lasting);
  /// Takes back what is overridden of a backend; returns how much that was.
  std::size_t takeBack(const Backend& backend);
  /// Ends what lasts until the next reload of the file, for a configure() that follows.
  void endOverrides();
  /// The same where none follows.
  void endOverridesNow();

  // ---- serving ----

  /// True where clients have to wait until each backend has had its first check.
  bool awaitsFirstChecks() const;
  /// Backends that are found fit from now on, until serve(), start with their full weight.
  void setStarting();
  /// Clients are about to be served: publishes what is not published yet.
  void serve();

  // ---- going and stopping ----

  /// The configuration has the pool no more, and no listener leads to it: its backends leave, and their sessions drain.
  /// A configure() that follows takes it back.
  void retire();
  /// True where it has retired, and no session is left and no worker can reach it. After Quiescence::reclaim().
  bool isUnused();
  /// Asks for no more names.
  void stopResolving();
  /// Ends all checks and ejections, and lets go of the checker.
  void stopChecking();
  /// Ends all of that, and lets go of the strategy and of all views. After the last worker has ended, or where the pool
  /// is unused.
  void end();
  /// Any thread.
  bool hasEnded() const noexcept { return ended_.load(std::memory_order_relaxed); }
  /// Frees what no worker reads any more; returns how much is left.
  std::size_t reclaim();

  // ---- for the process that follows ----

  /// Adds the states of the backends; where with_strategy, also names and the state of the strategy.
  void tell(Handover& handover, bool with_strategy) const;

  // ---- reading ----

  /// The plugins in use; the checker is nothing where backends are not checked.
  const plugin::InstanceInfo& strategyInfo() const;
  const Checker* checker() const noexcept { return checker_.get(); }
  /// The configured backends, then those that left and still have sessions. Any thread.
  Backends backends() const;
  /// True where backends are checked. Any thread.
  bool checks() const noexcept { return checks_.load(std::memory_order_relaxed); }
  /// True where the checker is called no more, and backends are checked by connecting. Any thread.
  bool checkerIsBroken() const noexcept;
  /// Adds what this pool has counted since it was made. Any thread.
  void collect(PoolTotals& totals) const;

 private:
  void markLoops(const Backends& backends) const;
  void onBackends(const Backends& backends);
  void onChecked(const std::shared_ptr<Backend>& backend);
  void onCheck(const std::shared_ptr<Backend>& backend, bool passed, std::uint64_t began_ns);
  void onFlip(const std::shared_ptr<Backend>& backend);
  void publishSoon();
  void publish();
  void publishNow();
  void noteFlip(const Backend& backend);
  void logPanic();
  void logWhetherStranded();
  Result<std::shared_ptr<Strategy>> withHandedState(std::shared_ptr<Strategy> made, const config::PluginChoice& choice);

  /// One content of a strategy's plugin, and how it was chosen.
  struct Generation {
    std::shared_ptr<const plugin::PluginFile> file;
    config::PluginChoice choice;
  };
  std::shared_ptr<Strategy> makeEarlier(const std::string& id, bool of_any_plugin);
  void endProbation();
  std::shared_ptr<Strategy> makeOf(const Generation& generation);

  const std::string name_;
  ControlLoop& loop_;
  PreparationContext& context_;
  PoolHost& host_;
  Heritage& heritage_;

  const std::unique_ptr<Pool> pool_;
  const std::unique_ptr<Shadowing> shadowing_;
  const std::unique_ptr<PickWatch> pick_watch_;
  const std::unique_ptr<Rebalancing> rebalancing_;
  const std::unique_ptr<health::Monitor> monitor_;
  const std::unique_ptr<health::Ejector> ejector_;
  const std::unique_ptr<Membership> membership_;
  const std::unique_ptr<Overrides> overrides_;
  std::shared_ptr<const Checker> checker_;
  std::optional<Strategy::State> handed_state_{};
  const std::shared_ptr<ManagedPool*> self_;  // emptied when this ends: tasks may be posted

  Generation current_;                   // of the strategy; without a file where nothing is known of it
  std::deque<Generation> earlier_;       // the newest first
  std::string stands_in_hash_;           // see standsInFor()
  bool swapped_ = false;                 // another content ran before, and its probation has not begun
  PickFacts picks_at_swap_;              // until the strategy that runs was taken over
  PickFacts picks_before_;               // of the strategy before
  PickFacts picks_of_earlier_;           // of the one that took the place of one that was quarantined, from before that
  std::uint64_t probation_ends_ns_ = 0;  // 0: there is none
  config::Health health_;
  std::set<std::uint64_t> ejected_;     // identities of those that the timeline says are
  bool publishing_ = false;             // a publish is posted
  bool retired_ = false;                // no listener leads here
  std::atomic<bool> ended_{false};      // the pool has no strategy any more
  bool panicking_ = false;              // the view published last uses all backends
  std::uint64_t stranded_ns_ = 0;       // since when no backend is eligible; 0: one is
  ControlLoop::TimerId republish_ = 0;  // the next step of a slow start, or another try for want of memory
  std::atomic<bool> checks_{true};
};

}  // namespace lemonade::app
