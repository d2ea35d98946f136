// SPDX-License-Identifier: MIT
//
// The running balancer: wires the layers together, starts them in order, and stops them in the opposite order. The
// control thread changes it; the thread that made it waits for the end.
#pragma once

#include "app/membership.h"
#include "app/preparation.h"
#include "app/status.h"
#include "admin/server.h"
#include "balance/pool.h"
#include "base/control_loop.h"
#include "health/monitor.h"
#include "metrics/publisher.h"
#include "proxy/proxy.h"

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

namespace lemonade::app {

class LoadBalancer {
 public:
  /// Holds on to the preparation's plugins. All references must outlive this.
  LoadBalancer(Preparation preparation, ControlLoop& loop, Resolver& resolver, const plugin::MetricCells& cells,
               std::uint64_t started_ns);
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

  /// A signal came: the first one drains, the second one ends at once. Control thread.
  void onSignal(int signal);

 private:
  // Starting
  Status bind();
  void startMetrics();
  Status startAdmin();
  void addRoutes();

  // Changing; control thread
  void onBackends(const View::Backends& backends);
  void onFlip(const std::shared_ptr<Backend>& backend);
  void publish();
  void publishSoon();
  void reclaimSoon(Duration delay);

  // Stopping; control thread
  void beginDrain(const char* signal);
  void endDrain();

  // Reading; any thread
  admin::Response status();
  admin::Response metrics(const std::string& id, const std::string& accept);
  void addFamilies(metrics::SnapshotBuilder& builder) const;

  const config::Config config_;
  Preparation preparation_;
  ControlLoop& loop_;
  const plugin::MetricCells& cells_;
  const std::uint64_t started_ns_;
  const std::uint64_t started_unix_ns_;

  Pool pool_;
  proxy::Proxy proxy_;
  health::Monitor monitor_;
  Membership membership_;
  std::unique_ptr<metrics::Publisher> publisher_;
  admin::Server admin_;
  ExchangeRates rates_;
  std::vector<PluginStatus> plugins_;    // constant once started
  std::vector<std::string> addresses_;   // constant once started

  std::atomic<bool> draining_{false};
  bool publishing_ = false;               // control thread: a publish is posted
  ControlLoop::TimerId reclaiming_ = 0;   // control thread
  ControlLoop::TimerId drain_timer_ = 0;  // control thread
  std::promise<void> drained_;
  bool ended_ = false;                    // control thread: drained_ was set
  std::uint64_t stop_deadline_ns_ = 0;
};

}  // namespace lemonade::app
