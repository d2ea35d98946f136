// SPDX-License-Identifier: MIT
//
// The running balancer: wires the layers together, starts them in order, and stops them in the opposite order. The
// control thread changes it; the thread that made it waits for the end.
#pragma once

#include "admin/message.h"
#include "admin/tokens.h"
#include "app/pool_host.h"
#include "app/quarantine.h"
#include "balance/strategy.h"
#include "base/control_loop.h"
#include "base/fd.h"
#include "base/lag.h"
#include "base/pulse.h"
#include "base/result.h"
#include "config/config.h"
#include "observe/recent.h"
#include "process/service_manager.h"

#include <atomic>
#include <cstdint>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace lemonade {
class DescriptorKeeper;
class Events;
class Heritage;
class Quiescence;
class Watchdog;
class Watcher;
struct FileContent;
struct ForwardingStatus;
struct Handover;
struct ListenerTotals;
struct OverrideState;
struct PluginStatus;
struct QuarantineStatus;
struct PoolTotals;
struct ProcessTotals;
struct Reloaded;
struct ReloadRecord;
struct ReloadStatus;
struct StatusInput;
}  // namespace lemonade

namespace lemonade::admin {
class Server;
}

namespace lemonade::config {
struct Input;
}

namespace lemonade::health {
class Checks;
}

namespace lemonade::metrics {
class Publisher;
class SnapshotBuilder;
}  // namespace lemonade::metrics

namespace lemonade::proxy {
class Proxy;
}

namespace lemonade::supervisor {
struct Message;
}

namespace lemonade::app {

class KernelForwarding;
class Live;
class LogLevels;
class ManagedPool;
class PoolSet;
class TokenFile;
struct AdminSockets;
struct Order;
struct Parent;
struct Preparation;
struct PreparationContext;
struct Running;

class LoadBalancer : private PoolHost {
 public:
  /// Takes over the plugins of a preparation that is ok. input is what it was made from, and what reloads read again.
  /// context, parent and service_manager, which is told what goes on, must outlive this; watchdog is told of what
  /// bounds a stop and passes signals on.
  LoadBalancer(Preparation preparation, config::Input input, PreparationContext& context, Watchdog& watchdog,
               Parent& parent, ServiceManager& service_manager, std::uint64_t started_ns);
  ~LoadBalancer() override;
  LoadBalancer(const LoadBalancer&) = delete;
  LoadBalancer& operator=(const LoadBalancer&) = delete;

  /// So long who asks for events may have them waited for.
  static constexpr Duration kLongestWait = std::chrono::seconds(30);

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

  // Reloading; see reload.cpp
  Reloaded reload(const std::string& reason, const FileContent& file, ReloadRecord& record);
  Reloaded reloadOrSay(const std::string& reason, const FileContent& file, ReloadRecord& record);
  Reloaded reloadAndRemember(const std::string& reason, const FileContent& file);
  void remember(ReloadRecord record);
  Running running() const;
  Result<AdminSockets> startAdmin(const config::Config& config, std::shared_ptr<admin::Server>& admin);
  void useAdmin(std::shared_ptr<admin::Server> admin, AdminSockets sockets);
  void useTokens(admin::Tokens tokens);
  void applySettings(const config::Config& config);
  void applySinks(Preparation& preparation);
  void show();
  void showPlugins();
  std::vector<PluginStatus> pluginsNow() const;

  // Serving clients; control thread
  void watchLimits();
  void awaitFirstChecks();
  void serve();
  void reclaimSoon(Duration delay);

  // Pools, and what they ask for; control thread
  std::shared_ptr<ManagedPool> makePool(const std::string& name, std::uint32_t workers);
  bool isUnused(Pool& pool) override;
  std::vector<Address> listeningAddresses() const override;
  void drainBackends(const Pool& pool, const std::vector<std::shared_ptr<Backend>>& left) override;
  void endSessionsAt(const Pool& pool, const std::shared_ptr<Backend>& backend) override;
  void partSessions(const std::shared_ptr<proxy::PartingOrder>& order) override;
  void healthChanged(const metrics::HealthEvent& event) override;
  void viewPublished() override;
  void checkEnded() override;
  void happened(Event event) override;  // any thread
  void overrideEnded(const EndedOverride& ended) override;

  // What operators change while it runs, see controlling.cpp; control thread
  /// Any thread.
  void control(const admin::Request& request, const admin::Answer& answer);
  admin::Response carryOut(const Order& order, const std::string& by);
  void noteOverride(const Backend& backend, const Override& made, const std::string& until);
  /// Ends those that last until the next reload of the file; returns a line for each. publish: no reload follows that
  /// does.
  std::vector<std::string> endOverrides(bool publish);

  // Plugins whose calls were broken off, see quarantining.cpp; control thread
  void onBroken(const plugin::Fault& fault, const std::string& thread);
  void quarantineContent(Quarantine::Entry entry);
  void judgeProbations();
  void markActive();
  /// Which plugins are quarantined; "": none. Any thread, as the rest.
  std::string degradedText() const;
  std::vector<QuarantineStatus> quarantinedNow() const;
  /// Has the supervisor tell the next process what it is not to run.
  void tellQuarantine() const;
  /// Has the supervisor keep what may run in the place of a strategy that the next process is not to run.
  void tellEarlier();
  void releasePlugin(const admin::Request& request, const admin::Answer& answer);
  void addContainment(metrics::SnapshotBuilder& builder) const;
  void addContainment(StatusInput& input) const;

  // The timeline, see timeline.cpp; any thread, but for the last two, which are the control thread's
  void noteReload(const ReloadRecord& reload);
  void noteRefusedPlugins(const Preparation& preparation);
  void noteSwaps(const std::vector<PluginStatus>& before, const std::vector<PluginStatus>& now);
  void answerEvents(const admin::Request& request, const admin::Answer& answer);
  admin::Response stream(const admin::Request& request);
  admin::Response reloads() const;
  void lookAround();
  void noteDescriptors(bool are_short);

  // With a supervisor, see upgrading.cpp; control thread
  void holdSockets();
  void hearSupervisor();
  void hearFirstWord();
  void heed(supervisor::Message& message);
  void noteFailedUpgrade(const std::string& why);
  void noteDeaths(const std::string& about);
  void giveWay();

  // With a process before or after this one, see succession.cpp; control thread, but for what says otherwise
  /// Asks the process before for its state. Before the first commit, and not on the control thread.
  void takePlace();
  void useKnownNames(const Handover& handover);
  void hearPredecessor();
  /// Has the process before count no connection from now on that it was not asked about, and waits for its word.
  void awaitYield();
  void inheritLosses(const Handover& handover);
  void inheritQuarantine(const Handover& handover);
  void inheritEvents(Handover& handover);
  void tellTimeline(Handover& handover) const;
  void handOver(Fd channel);
  void hearSuccessor();
  void tellSuccessor();
  void forgetSuccessor();
  /// Of this process and those before it. Any thread.
  void collect(ProcessTotals& totals) const;
  void collectListeners(std::list<ListenerTotals>& totals, const std::list<ListenerTotals>& inherited) const;
  void collectPools(std::list<PoolTotals>& totals, const std::list<PoolTotals>& inherited) const;
  void collectCalls(ProcessTotals& totals, const ProcessTotals& inherited) const;
  /// Of the configuration; any thread.
  std::uint64_t generation() const noexcept;

  // Stopping, see stopping.cpp; control thread
  /// A signal came: SIGHUP reloads, SIGUSR1 has sinks open their files anew; of the others the first stops and the
  /// second ends at once.
  void onSignal(int signal);
  void beginStop(const std::string& signal);
  /// How long a stop that begins now goes on to accept clients.
  Duration grace() const;
  void leaveNames();
  void beginDrain();
  /// No session is left here.
  void endAfterPredecessor();
  void endDrain();
  /// Stops as by a signal, but without a grace; ends one that is under way.
  void leaveNow();
  bool stopping() const noexcept { return stage_.load() != Stage::kRunning; }

  // Answering, see answering.cpp; any thread
  std::shared_ptr<admin::Server> makeAdmin(const config::Config& config);
  const char* stageText() const noexcept;
  std::vector<std::string> poolsWithoutBackend() const;
  admin::Response readiness() const;
  /// Where the pools of these names have no eligible backend, and there are so many pools.
  bool isReady(const std::vector<std::string>& down, std::size_t pools) const;
  admin::Response status();
  admin::Response configuration() const;
  /// The state in one line.
  std::string summary() const;
  /// Which threads have not moved since this was asked last. Thread of the service manager.
  std::vector<ServiceManager::StillThread> stillThreads(std::uint64_t now_ns);
  admin::Response backendsOf(const admin::Request& request);
  admin::Response pools() const;
  admin::Response plugins() const;
  // Why backends were picked, see explaining.cpp
  static bool isWhy(const std::string& path);
  std::variant<std::shared_ptr<ManagedPool>, admin::Response> poolCalled(const std::string& name) const;
  admin::Response why(const admin::Request& request) const;
  void beginWhy(const admin::Request& request, const admin::Answer& answer);
  admin::Response shadows(const admin::Request& request) const;  // see shadow_answering.cpp, as addShadows()
  void requestReload(const admin::Request& request, const admin::Answer& answer);
  admin::Response validate(const admin::Request& request) const;
  void setLogLevel(const admin::Request& request, const admin::Answer& answer);
  /// Has sinks open their files anew, and answers once they have. Any thread.
  void reopen(const std::string& reason, const admin::Answer& answer);
  admin::Response metrics(const std::string& id, const std::string& accept);
  void addFamilies(metrics::SnapshotBuilder& builder) const;
  void addListeners(metrics::SnapshotBuilder& builder, const ProcessTotals& totals) const;
  void addPools(metrics::SnapshotBuilder& builder, const ProcessTotals& totals) const;
  void addShadows(metrics::SnapshotBuilder& builder) const;
  /// See forwarding_answering.cpp, as the next. Nothing where the kernel does not forward; of the totals of all
  /// listeners.
  std::optional<ForwardingStatus> forwarding(const std::list<ListenerTotals>& totals) const;
  /// Of this process and those before it.
  std::uint64_t eventLosses() const;
  /// Of all pools.
  std::vector<std::shared_ptr<Backend>> backends() const;
  /// What listeners and pools have counted in this process, each name once.
  std::vector<Recent::ListenerNow> listenersNow() const;
  std::vector<Recent::PoolNow> poolsNow() const;

  /// How far it is: stopping, but with clients still accepted; closed to new ones.
  enum class Stage { kRunning, kGrace, kDraining };

  /// What status shows of the configuration that runs; immutable, replaced as a whole.
  struct ConfigurationFacts;
  void addListeners(StatusInput& input, const ConfigurationFacts& facts) const;
  void addPools(StatusInput& input, const ConfigurationFacts& facts) const;

  config::Config config_;                     // control thread only
  std::unique_ptr<Preparation> preparation_;  // until start
  const std::unique_ptr<const config::Input> input_;
  PreparationContext& context_;
  Watchdog& watchdog_;
  Parent& parent_;
  ServiceManager& service_manager_;
  ControlLoop& loop_;
  const std::uint64_t started_ns_;
  const std::uint64_t started_unix_ns_;
  const std::shared_ptr<Events> events_;

  const std::unique_ptr<Heritage> heritage_;
  const std::unique_ptr<Quiescence> quiescence_;  // of the workers
  const std::unique_ptr<health::Checks> checks_;
  const std::unique_ptr<PoolSet> pools_;
  const std::unique_ptr<proxy::Proxy> proxy_;
  const std::unique_ptr<KernelForwarding> kernel_;
  const std::unique_ptr<DescriptorKeeper> descriptors_;
  std::map<std::string, Strategy::State> handed_states_;  // by pool, until the first strategies are made
  std::vector<OverrideState> handed_overrides_;           // until the pools are made
  std::vector<Quarantine::Entry> handed_quarantine_;      // what is new here, until the pools are made
  std::vector<std::string> ended_overrides_;  // by a reload, a line each, until it takes them; control thread
  std::vector<Address> own_addresses_;        // where clients are accepted; control thread
  Fd predecessor_;                            // control thread, as the next two
  Fd successor_;
  ControlLoop::TimerId telling_ = 0;  // the successor what is counted
  const std::unique_ptr<metrics::Publisher> publisher_;
  std::map<std::string, metrics::SinkHandle> sinks_;  // by id; control thread
  std::set<std::uint64_t> broken_generations_;        // numbers of instances; control thread
  bool cleared_ = false;                              // a stop has begun to take the plugins away; control thread
  std::shared_ptr<admin::Server> admin_;
  const std::unique_ptr<TokenFile> token_file_;
  const std::unique_ptr<LogLevels> log_levels_;
  const std::unique_ptr<Recent> recent_;
  const std::unique_ptr<Live> live_;
  std::unique_ptr<Watcher> watcher_;

  mutable std::mutex facts_mutex_;
  std::shared_ptr<const ConfigurationFacts> facts_;  // the pointer is guarded by facts_mutex_, as the next seven
  std::shared_ptr<const ReloadStatus> last_reload_;  // null: none yet
  std::list<ReloadRecord> reloads_;                  // newest first
  std::string reload_by_;                            // who has sent the request that waits
  std::uint64_t failed_upgrades_ = 0;
  std::string upgrade_failure_;
  std::uint64_t deaths_ = 0;  // of processes of this supervisor
  std::string last_death_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<std::uint64_t> reloads_applied_{0};
  std::atomic<std::uint64_t> reloads_failed_{0};

  Pulse control_pulse_;
  Lag control_lag_;
  std::atomic<Stage> stage_{Stage::kRunning};
  bool upgraded_ = false;                 // control thread: it took the place of another process that lived
  bool has_yielded_ = false;              // control thread: that process has answered awaitYield()
  bool gave_way_ = false;                 // control thread: another process listens on the same sockets
  bool left_ = false;                     // control thread: the drain is over, no session is left
  bool orphaned_ = false;                 // control thread: the supervisor has died
  std::atomic<bool> serving_{false};      // clients are accepted; the control thread writes it
  bool short_of_descriptors_ = false;     // control thread
  std::set<std::string> full_listeners_;  // control thread: where max_connections is reached
  ControlLoop::TimerId awaiting_ = 0;     // control thread: until then at most first checks are waited for
  ControlLoop::TimerId limit_timer_ = 0;  // control thread: looks whether max_connections is still reached
  ControlLoop::TimerId mark_timer_ = 0;   // control thread: sets the marks of what is counted
  ControlLoop::TimerId reclaiming_ = 0;   // control thread
  ControlLoop::TimerId stop_timer_ = 0;   // control thread: the end of the grace, then of the drain
  std::promise<void> drained_;
  bool ended_ = false;  // control thread: drained_ was set
  std::uint64_t stop_deadline_ns_ = 0;
};

}  // namespace lemonade::app
