// SPDX-License-Identifier: MIT
//
// Forwarding by the kernel, as the control thread sees it: has the table in the kernel say what listeners and pools
// say, each time one of them changes, and keeps it alive. What the kernel asks, a worker answers (proxy::FlowSet).
//
// The table works also without us: where nobody answers, it goes by the weights that it was told last. So that a
// process that is stopped or hangs holds up no client, the kernel asks only while it is told every second that somebody
// is there.
//
// Control thread only, but for the report.
#pragma once

#include "app/forwarding_report.h"
#include "app/kernel_plans.h"
#include "base/control_loop.h"
#include "base/result.h"
#include "config/config.h"
#include "kernel/exchange_times.h"
#include "kernel/flow_entry.h"
#include "kernel/table.h"
#include "proxy/flow_gate.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace lemonade::proxy {
class Proxy;
}  // namespace lemonade::proxy

namespace lemonade::app {

class PoolSet;

class KernelForwarding {
 public:
  /// All of these must outlive this.
  KernelForwarding(ControlLoop& loop, proxy::Proxy& proxy, const PoolSet& pools);
  ~KernelForwarding();
  KernelForwarding(const KernelForwarding&) = delete;
  KernelForwarding& operator=(const KernelForwarding&) = delete;

  /// Opens what the kernel is spoken with by, where a listener of the configuration has it forward. The error says what
  /// is missing, and how to get it. Nothing changes for clients.
  Status stage(const config::Config& config);
  /// Listeners and pools are as this configuration has them.
  void use(const config::Config& config);
  /// The kernel will forward as soon as clients are served.
  bool isStaged() const noexcept { return opened_.has_value(); }
  /// Clients are served from now on. counted: the process before lives, and its totals are ours; it counts what it was
  /// asked about until predecessorLeft().
  void serve(bool counted);
  void predecessorLeft();
  /// The backends that may be picked have changed.
  void viewPublished();

  /// The kernel is about to ask another process, whose table it is from now on.
  void yield();
  /// Another process was to take over and did not: the kernel asks us again.
  void reassert();
  /// Another process has taken over.
  void giveWay();
  /// No client is served from now on, and the proxy drains the flows; or, where the table is to stay, it goes on
  /// without us, and the flows with it.
  void beginDrain();
  /// The last flow has ended.
  void end();

  /// How it is; any thread.
  const ForwardingReport& report() const noexcept { return report_; }

 private:
  bool wants(const config::Config& config) const;
  bool wantsExchanges(const config::Config& config) const;
  Status examine(const config::Config& config);
  Status stageExchanges(const config::Config& config);
  void useExchanges(bool wanted);
  void inherit(const kernel::Table::Left& left);
  void inheritLate();
  bool eachOpen(const std::function<void(const kernel::FlowEntry&)>& visit) const;
  static Result<proxy::KernelGate::Parts> openGate(std::uint16_t tag, std::uint16_t first_queue);
  void disarmLeft();
  void refresh();
  void beat();
  bool isOver();
  bool forwardsStill() const;
  void retire();
  std::shared_ptr<proxy::FlowPlan> flowPlan();

  ControlLoop& loop_;
  proxy::Proxy& proxy_;
  const PoolSet& pools_;
  config::Kernel config_;
  std::unique_ptr<kernel::Table> table_;
  std::optional<proxy::KernelGate::Parts> opened_;       // until serve()
  std::unique_ptr<kernel::ExchangeTimes> opened_times_;  // until a worker has them
  std::set<std::string> warned_;                         // of what the machine lacks
  KernelPlans plans_;
  std::uint16_t queue_ = 0;
  bool on_ = false;            // the kernel forwards
  bool timed_ = false;         // a worker has times of exchanges
  bool looked_ = false;        // for a table that was left, which takes one look in the life of a process
  bool failed_ = false;        // the table is not as it should be
  bool yields_ = false;        // the table is another's to change
  bool had_sessions_ = false;  // when the drain of a stop began
  std::uint64_t over_ns_ = 0;  // since when no listener leads to the kernel, monotonic; 0: one does
  int quiet_beats_ = 0;        // at which there was no flow either, in a row
  bool refreshing_ = false;
  ControlLoop::TimerId beat_ = 0;
  ForwardingReport report_;
  const std::shared_ptr<KernelForwarding*> self_;  // emptied when this ends: tasks may be posted
};

}  // namespace lemonade::app
