// SPDX-License-Identifier: MIT
//
// The running balancer: wires the layers together, starts them in order, and stops them in the opposite order. The
// control thread changes it; the thread that made it waits for the end.
#pragma once

#include "admin/server.h"
#include "app/membership.h"
#include "app/parent.h"
#include "app/preparation.h"
#include "balance/pool.h"
#include "base/control_loop.h"
#include "base/pulse.h"
#include "health/ejector.h"
#include "health/monitor.h"
#include "metrics/publisher.h"
#include "observe/status.h"
#include "process/descriptor_keeper.h"
#include "process/service_manager.h"
#include "process/watchdog.h"
#include "proxy/proxy.h"
#include "upgrade/heritage.h"
#include "watch/watcher.h"

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::app {

class LoadBalancer {
 public:
  /// Takes over the plugins of a preparation that is ok. input is what it was made from, and what reloads read again.
  /// context, parent and service_manager, which is told what goes on, must outlive this; watchdog is told of what
  /// bounds a stop and passes signals on.
  LoadBalancer(Preparation preparation, config::Input input, PreparationContext& context, Watchdog& watchdog,
               Parent& parent, ServiceManager& service_manager, std::uint64_t started_ns);
  ~LoadBalancer();
  LoadBalancer(const LoadBalancer&) = delete;
  LoadBalancer& operator=(const LoadBalancer&) = delete;

  /// Binds and starts everything. Not from the control thread, as run() and stop().
  Status start();

  /// Waits until a signal has asked for the end and draining is over.
  void run();

  /// Ends everything within what is left of accept_timeout_millis. False where something hung and was left behind: the
  /// process must then end without destroying this.
  bool stop();

 private:
  // Starting
  Status commitOrSay(Preparation& preparation);
  Status commit(Preparation& preparation);
  std::shared_ptr<admin::Server> makeAdmin(const config::Config& config);

  // Reloading; see reload.cpp
  Reloaded reload(const std::string& reason, const FileContent& file);
  Reloaded reloadOrSay(const std::string& reason, const FileContent& file);
  Reloaded reloadAndRemember(const std::string& reason, const FileContent& file);
  Running running() const;
  void applySettings(const config::Config& config);
  void applySinks(Preparation& preparation);
  void show();

  // Serving clients; control thread
  void awaitFirstChecks();
  void serve();

  // Changing; control thread
  void markLoops(const View::Backends& backends) const;
  void onBackends(const View::Backends& backends);
  void onChecked(const std::shared_ptr<Backend>& backend);
  void onCheck(const health::Monitor::Check& check);
  void onFlip(const std::shared_ptr<Backend>& backend);
  void publish();
  void publishNow();
  void tellWhoIsLeft();
  void publishSoon();
  void reclaimSoon(Duration delay);

  // With a supervisor; control thread
  void holdSockets();
  void hearSupervisor();
  void noteFailedUpgrade(const std::string& why);
  void giveWay();

  // With a process before or after this one, see succession.cpp; control thread, but for what says otherwise
  /// Asks the process before for its state. Before the first commit, and not on the control thread.
  void takePlace();
  void useKnownNames(const Handover& handover);
  void hearPredecessor();
  void inheritLosses(const Handover& handover);
  void adoptBackends(const View::Backends& backends);
  Result<std::shared_ptr<Strategy>> withHandedState(std::shared_ptr<Strategy> made, const config::PluginChoice& choice);
  void handOver(Fd channel);
  void hearSuccessor();
  void tellSuccessor();
  void forgetSuccessor();
  /// Of this process and those before it. Any thread.
  void collect(ProcessTotals& totals) const;
  /// Of the configuration; any thread.
  std::uint64_t generation() const noexcept { return heritage_.totals().generations.value() + generation_.load(); }

  // Stopping, see stopping.cpp; control thread
  /// A signal came: SIGHUP reloads; of the others the first stops and the second ends at once.
  void onSignal(int signal);
  void beginStop(const std::string& signal);
  /// How long a stop that begins now goes on to accept clients.
  Duration grace() const;
  void beginDrain();
  /// No session is left here.
  void endAfterPredecessor();
  void endDrain();
  /// Stops as by a signal, but without a grace; ends one that is under way.
  void leaveNow();

  // Reading; any thread
  bool stopping() const noexcept { return stage_.load() != Stage::kRunning; }
  const char* stageText() const noexcept;
  admin::Response status();
  /// The state in one line.
  std::string summary() const;
  /// Which threads have not moved since this was asked last. Thread of the service manager.
  std::vector<ServiceManager::Standing> standing(std::uint64_t now_ns);
  void requestReload(const admin::Answer& answer);
  admin::Response metrics(const std::string& id, const std::string& accept);
  void addFamilies(metrics::SnapshotBuilder& builder) const;
  /// The configured ones, then those that left and still have sessions.
  View::Backends backends() const;

  /// How far it is: stopping, but with clients still accepted; closed to new ones.
  enum class Stage { kRunning, kGrace, kDraining };

  /// What status shows of the configuration that runs; immutable, replaced as a whole.
  struct Shown {
    std::string config_file;
    std::vector<PluginStatus> plugins;
    std::vector<std::string> listeners;
    std::uint64_t generation = 0;
  };

  config::Config config_;                   // control thread only
  std::optional<Preparation> preparation_;  // until start
  const config::Input input_;
  PreparationContext& context_;
  Watchdog& watchdog_;
  Parent& parent_;
  ServiceManager& service_manager_;
  ControlLoop& loop_;
  const std::uint64_t started_ns_;
  const std::uint64_t started_unix_ns_;

  Pool pool_;
  proxy::Proxy proxy_;
  DescriptorKeeper descriptors_;
  health::Monitor monitor_;
  health::Ejector ejector_;
  Membership membership_;
  Heritage heritage_;
  Fd predecessor_;  // control thread, as the next three
  Fd successor_;
  ControlLoop::TimerId telling_ = 0;               // the successor what is counted
  std::optional<Strategy::State> handed_state_{};  // until the first strategy is made
  metrics::Publisher publisher_;
  std::shared_ptr<const plugin::CheckerInstance> checker_;  // control thread, as the next two
  std::map<std::string, metrics::SinkHandle> sinks_;        // by id
  std::shared_ptr<admin::Server> admin_;
  ExchangeRates rates_;
  std::unique_ptr<Watcher> watcher_;

  mutable std::mutex shown_mutex_;
  std::shared_ptr<const Shown> shown_;  // the pointer is guarded by shown_mutex_, as the next one
  std::optional<ReloadStatus> last_reload_;
  std::uint64_t failed_upgrades_ = 0;  // guarded by shown_mutex_, as the next one
  std::string upgrade_failure_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<std::uint64_t> reloads_applied_{0};
  std::atomic<std::uint64_t> reloads_failed_{0};
  std::atomic<bool> checks_{true};  // backends are checked

  Pulse control_pulse_;
  std::atomic<Stage> stage_{Stage::kRunning};
  bool cleared_ = false;                  // control thread: the pool has no strategy any more
  bool gave_way_ = false;                 // control thread: another process listens on the same sockets
  bool left_ = false;                     // control thread: the drain is over, no session is left
  bool orphaned_ = false;                 // control thread: the supervisor has died
  bool serving_ = false;                  // control thread: clients are accepted
  ControlLoop::TimerId awaiting_ = 0;     // control thread: until then at most first checks are waited for
  bool publishing_ = false;               // control thread: a publish is posted
  bool panicking_ = false;                // control thread: the view published last uses all backends
  std::uint64_t stranded_ns_ = 0;         // control thread: since when no backend is eligible; 0: one is
  ControlLoop::TimerId limit_timer_ = 0;  // control thread: looks whether max_connections is still reached
  ControlLoop::TimerId ramping_ = 0;      // control thread: the next step of a slow start
  ControlLoop::TimerId reclaiming_ = 0;   // control thread
  ControlLoop::TimerId stop_timer_ = 0;   // control thread: the end of the grace, then of the drain
  std::promise<void> drained_;
  bool ended_ = false;  // control thread: drained_ was set
  std::uint64_t stop_deadline_ns_ = 0;
};

}  // namespace lemonade::app
