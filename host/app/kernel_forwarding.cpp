// SPDX-License-Identifier: MIT
#include "app/kernel_forwarding.h"

#include "app/managed_pool.h"
#include "app/pool_set.h"
#include "balance/pool.h"
#include "base/log.h"
#include "kernel/conntrack.h"
#include "kernel/marks.h"
#include "kernel/support.h"
#include "proxy/flow_plan.h"
#include "proxy/proxy.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kBeat = 1s;                            // of the three after which the kernel asks nobody any more
constexpr std::uint64_t kWorkerPatience = 2'000'000'000;  // the worker that answers the kernel hangs then
constexpr std::uint64_t kLastToCome = 4'000'000'000;      // those whom the table let in while it was changed
constexpr Duration kLastAnswers = 100ms;                  // of those ended last, whom the table resets
constexpr std::uint16_t kFirstQueue = 19'533;             // where the search for a free one begins
constexpr std::uint32_t kQueueLimit = 1'024;              // packets; what is too much goes by the table's weights

/// One takes clients of the other.
bool overlap(const Address& one, const Address& other) {
  if (one.family() != other.family() || one.port() != other.port()) return false;
  return one == other || one.isWildcard() || other.isWildcard();
}

bool inKernel(const config::Listener& listener) { return listener.forward == config::Forward::kKernel; }

}  // namespace

KernelForwarding::KernelForwarding(ControlLoop& loop, proxy::Proxy& proxy, const PoolSet& pools)
    : loop_(loop), proxy_(proxy), pools_(pools), self_(std::make_shared<KernelForwarding*>(this)) {}

KernelForwarding::~KernelForwarding() { *self_ = nullptr; }

bool KernelForwarding::wants(const config::Config& config) const {
  return std::any_of(config.listeners.begin(), config.listeners.end(), inKernel);
}

bool KernelForwarding::wantsExchanges(const config::Config& config) const {
  return config.kernel.exchanges == config::Exchanges::kOn && wants(config);
}

Status KernelForwarding::stage(const config::Config& config) {
  if (!wants(config)) return success();
  if (on_ || opened_) {
    if (auto fit = examine(config); !fit) return fit;
    return stageExchanges(config);
  }
  config_ = config.kernel;
  auto table = std::make_unique<kernel::Table>(config_.table);
  if (auto able = table->check(); !able) return able;
  if (auto fit = examine(config); !fit) return fit;
  auto left = table->left();
  if (!left) return std::move(left).error();
  if (left.value()) inherit(*left.value());
  // With another number than that of the process before, whose packets may wait there.
  const int first = left.value() && left.value()->queue ? *left.value()->queue + 1 : kFirstQueue;
  auto opened = openGate(static_cast<std::uint16_t>(config_.tag), static_cast<std::uint16_t>(first));
  if (!opened) return std::move(opened).error();
  if (auto timed = stageExchanges(config); !timed) return timed;
  queue_ = opened.value().queue.number();
  opened_.emplace(std::move(opened).value());
  table_ = std::move(table);
  return success();
}

/// What the machine lacks: an error where nothing would be forwarded, else a warning in the log.
Status KernelForwarding::examine(const config::Config& config) {
  kernel::Wants wants;
  for (const auto& listener : config.listeners) {
    if (!inKernel(listener)) continue;
    wants.masquerade = wants.masquerade || listener.forward_source == config::ForwardSource::kMasquerade;
    wants.connections += listener.max_connections;
    for (const auto& listen : listener.addresses) (listen.address.starts_with('[') ? wants.ipv6 : wants.ipv4) = true;
  }
  const auto counting = kernel::turnOnAccounting();
  for (const auto& setting : counting.turned_on)
    log::info("kernel", "turned on, so that connections are counted", {{"setting", setting}});
  for (const auto& lack : kernel::examineSettings(wants, "/proc")) {
    if (lack.fatal) return Error{"the kernel cannot forward: " + lack.what + "; " + lack.mend};
    if (warned_.insert(lack.what).second) log::warning("kernel", lack.what, {{"mend", lack.mend}});
  }
  return success();
}

Status KernelForwarding::stageExchanges(const config::Config& config) {
  opened_times_.reset();  // of a configuration that did not come to be in force
  if (timed_ || !wantsExchanges(config)) return success();
  std::string lacking;
  std::string mend;
  for (const auto& lack : kernel::examineExchanges("/proc")) {
    lacking += (lacking.empty() ? "" : ", ") + lack.what;
    if (mend.empty()) mend = lack.mend;
  }
  if (!lacking.empty()) return Error{"kernel.exchanges = \"on\": " + lacking + "; " + mend};
  auto times = kernel::ExchangeTimes::open(static_cast<std::uint16_t>(config_.tag));
  if (!times) return Error{"kernel.exchanges = \"on\": " + times.error().message + "; or write exchanges = \"off\""};
  opened_times_ = std::move(times).value();
  return success();
}

/// Has the worker time exchanges from now on, or no more.
void KernelForwarding::useExchanges(bool wanted) {
  if (wanted && opened_times_ != nullptr)
    proxy_.timeFlows(std::move(opened_times_));
  else if (!wanted && timed_)
    proxy_.timeFlows(nullptr);
  timed_ = wanted;
}

/// Backends keep the numbers that connections of the process before have them by.
void KernelForwarding::inherit(const kernel::Table::Left& left) {
  config_.tag = left.tag;
  plans_.inherit(left.backends);
}

/// The process before may have got backends since stage(), and connections may be left of one before that.
void KernelForwarding::inheritLate() {
  const auto left = table_->left();
  if (!left || !left.value()) return;
  plans_.inherit(left.value()->backends);
  (void)eachOpen([this](const kernel::FlowEntry& entry) { plans_.avoid(kernel::slotOf(entry.mark)); });
}

/// Visits the connections that have our tag and have not ended; false where not all could be had.
bool KernelForwarding::eachOpen(const std::function<void(const kernel::FlowEntry&)>& visit) const {
  auto conntrack = kernel::Conntrack::open();
  if (!conntrack) return false;
  const auto visitOpen = [&](const kernel::FlowEntry& entry) {
    if (entry.isOpen()) visit(entry);
  };
  return conntrack.value()
      .each(kernel::tagBits(static_cast<std::uint16_t>(config_.tag)), kernel::kTagMask, visitOpen)
      .ok();
}

Result<proxy::KernelGate::Parts> KernelForwarding::openGate(std::uint16_t tag, std::uint16_t first_queue) {
  const std::uint32_t mark = kernel::tagBits(tag);
  auto queue = kernel::PacketQueue::open(first_queue, kQueueLimit);
  if (!queue) return std::move(queue).error();
  auto events = kernel::FlowEvents::open(mark, kernel::kTagMask);
  if (!events) return std::move(events).error();
  auto conntrack = kernel::Conntrack::open();
  if (!conntrack) return std::move(conntrack).error();
  auto resets = kernel::Resets::open(kernel::resetMark(tag));
  if (!resets) return std::move(resets).error();
  return proxy::KernelGate::Parts{std::move(queue).value(),
                                  std::move(events).value(),
                                  std::move(conntrack).value(),
                                  std::move(resets).value(),
                                  mark,
                                  kernel::kTagMask};
}

void KernelForwarding::use(const config::Config& config) {
  config_.keep = config.kernel.keep;
  if (table_ == nullptr) config_.table = config.kernel.table;
  if (!wants(config)) opened_.reset();  // of a configuration that did not come to be in force
  if (!wantsExchanges(config)) opened_times_.reset();
  if (!on_) return;
  useExchanges(wantsExchanges(config));
  if (!yields_) refresh();
}

// First the worker learns where packets come in, then it looks at what flows already, and only then is it asked.
void KernelForwarding::serve(bool counted) {
  if (on_) return;
  if (!opened_) {
    if (!std::exchange(looked_, true)) disarmLeft();
    return;
  }
  inheritLate();
  report_.begin(config_.table, queue_, static_cast<std::uint16_t>(config_.tag));
  proxy_.openFlows(std::make_unique<proxy::KernelGate>(*std::exchange(opened_, std::nullopt)));
  auto plan = flowPlan();
  proxy_.useFlows(plan);
  useExchanges(opened_times_ != nullptr);
  proxy_.adoptFlows(counted);
  refresh();
  beat();
  beat_ = loop_.every(kBeat, [this] { beat(); });
  on_ = true;
  log::info("kernel", "the kernel forwards", {{"table", "inet " + config_.table}, {"queue", queue_}});
}

// A table that was left, by a process that forwarded at what are our relays' addresses now, would take their clients.
// Connections that it has forwarded go on.
void KernelForwarding::disarmLeft() {
  kernel::Table table(config_.table);
  auto left = table.left();
  if (!left || !left.value()) return;
  const std::string name = "inet " + config_.table;
  const auto& entrances = left.value()->entrances;
  if (entrances.empty())
    log::warning("kernel", "a table of before is there for its connections, and leads nobody in",
                 {{"table", name}, {"mend", "nft delete table " + name + ", once they are over"}});
  const auto is_ours = [sockets = proxy_.sockets()](const Address& entrance) {
    return std::ranges::any_of(sockets, [&](const auto& socket) { return overlap(socket->address(), entrance); });
  };
  if (std::ranges::none_of(entrances, is_ours)) return;
  kernel::TablePlan plan;
  plan.tag = left.value()->tag;
  plan.queue = left.value()->queue.value_or(0);
  plan.backends = left.value()->backends;
  if (auto applied = table.apply(plan); !applied)
    log::error("kernel", "a table of before takes the clients of our listeners, and cannot be changed",
               {{"table", name}, {"error", applied.error().message}, {"mend", "nft delete table " + name}});
  else
    log::warning("kernel", "a table of before forwarded at addresses of our listeners, and does no more",
                 {{"table", name}, {"mend", "nft delete table " + name + ", once its connections are over"}});
}

std::shared_ptr<proxy::FlowPlan> KernelForwarding::flowPlan() {
  KernelPlans::Pools pools;
  for (const auto& pool : pools_.all()) pools.emplace_back(pool, &pool->pool());
  return plans_.flows(static_cast<std::uint16_t>(config_.tag), proxy_.listeners(), pools);
}

void KernelForwarding::predecessorLeft() {
  if (on_) proxy_.settleFlows();
}

void KernelForwarding::viewPublished() {
  if (!on_ || refreshing_) return;
  loop_.post([self = self_] {
    if (*self == nullptr) return;
    (*self)->refreshing_ = false;
    if ((*self)->on_ && !(*self)->yields_) (*self)->refresh();
  });
  refreshing_ = true;
}

// A backend must be in the table before a worker may name it, and one that leaves stays there while it has flows.
void KernelForwarding::refresh() {
  auto flows = flowPlan();
  auto applied = table_->apply(KernelPlans::table(*flows, proxy_.listeners(), queue_));
  if (!applied)
    log::error("kernel", "cannot change the table by which the kernel forwards, trying again",
               {{"table", "inet " + config_.table}, {"error", applied.error().message}});
  else if (failed_)
    log::info("kernel", "the table by which the kernel forwards is up to date again",
              {{"table", "inet " + config_.table}});
  failed_ = !applied.ok();
  report_.noteTable(!failed_);
  if (failed_) return;
  plans_.settle(*flows);
  if (!flows->entrances.empty())
    over_ns_ = 0;
  else if (over_ns_ == 0)
    over_ns_ = nowNs();
  proxy_.useFlows(std::move(flows));
  proxy_.closeForwarded();
}

void KernelForwarding::beat() {
  if (!yields_ && (failed_ || plans_.leaving())) refresh();
  if (!failed_) proxy_.closeForwarded();
  if (!proxy_.flowsAnswer(kWorkerPatience)) return;
  if (isOver()) return retire();
  const bool heard = table_->refresh().ok();
  report_.noteHeard(heard ? nowNs() : 0);
  if (heard) return;
  failed_ = true;
  report_.noteTable(false);
}

/// The listeners have become relays by a reload, and the connections of before are over, the last of them long enough
/// for its ends to have heard so. What the worker has counted is younger than the change: it has moved since.
bool KernelForwarding::isOver() {
  const bool quiet = !yields_ && !failed_ && over_ns_ != 0 && nowNs() - over_ns_ >= kLastToCome && proxy_.flows() == 0;
  quiet_beats_ = quiet ? quiet_beats_ + 1 : 0;
  return quiet_beats_ > 1 && !forwardsStill();
}

/// Connections are left that are no flows: of a process before, to a listener or a backend that is none of ours.
bool KernelForwarding::forwardsStill() const {
  bool found = false;
  const bool seen = eachOpen([&](const kernel::FlowEntry&) { found = true; });
  return found || !seen;
}

void KernelForwarding::retire() {
  proxy_.letGoOfFlows();
  end();
  table_.reset();
  log::info("kernel", "the kernel forwards no more", {{"table", "inet " + config_.table}});
}

// ---- the end -------------------------------------------------------------------------------------------------------

void KernelForwarding::yield() {
  if (!on_) return;
  yields_ = true;
  proxy_.yieldFlows(true);
}

void KernelForwarding::reassert() {
  if (!on_) return;
  yields_ = false;
  proxy_.yieldFlows(false);
  table_ = std::make_unique<kernel::Table>(config_.table);
  refresh();
  beat();
}

void KernelForwarding::giveWay() {
  if (!on_) return;
  loop_.cancel(std::exchange(beat_, 0));
  on_ = timed_ = false;
  report_.end();
  proxy_.giveWayWithFlows();
}

void KernelForwarding::beginDrain() {
  if (!on_) return;
  loop_.cancel(std::exchange(beat_, 0));
  if (config_.keep) {
    on_ = false;
    report_.end();
    return proxy_.letGoOfFlows();
  }
  had_sessions_ = proxy_.sessions() != 0;
  auto flows = flowPlan();
  if (auto applied = table_->apply(KernelPlans::table(*flows, {}, queue_)); !applied)
    return log::error("kernel", "cannot close the listeners that the kernel forwards",
                      {{"error", applied.error().message}});
  flows->closed = true;
  proxy_.useFlows(std::move(flows));
}

void KernelForwarding::end() {
  if (!std::exchange(on_, false)) return;
  report_.end();
  loop_.cancel(std::exchange(beat_, 0));
  if (had_sessions_) std::this_thread::sleep_for(kLastAnswers);
  if (auto removed = table_->remove(); !removed)
    log::error("kernel", "cannot remove the table by which the kernel forwarded",
               {{"table", "inet " + config_.table}, {"error", removed.error().message}});
}

}  // namespace lemonade::app
