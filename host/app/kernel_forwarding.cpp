// SPDX-License-Identifier: MIT
#include "app/kernel_forwarding.h"

#include "app/managed_pool.h"
#include "app/pool_set.h"
#include "balance/pool.h"
#include "base/log.h"
#include "kernel/marks.h"
#include "kernel/support.h"
#include "proxy/flow_plan.h"
#include "proxy/proxy.h"

#include <algorithm>
#include <set>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kBeat = 1s;                            // of the three after which the kernel asks nobody any more
constexpr std::uint64_t kWorkerPatience = 2'000'000'000;  // the worker that answers the kernel hangs then
constexpr std::uint16_t kFirstQueue = 19'533;             // where the search for a free one begins
constexpr std::uint32_t kQueueLimit = 1'024;              // packets; what is too much goes by the table's weights

bool inKernel(const config::Listener& listener) { return listener.forward == config::Forward::kKernel; }

}  // namespace

KernelForwarding::KernelForwarding(ControlLoop& loop, proxy::Proxy& proxy, const PoolSet& pools)
    : loop_(loop), proxy_(proxy), pools_(pools), self_(std::make_shared<KernelForwarding*>(this)) {}

KernelForwarding::~KernelForwarding() { *self_ = nullptr; }

bool KernelForwarding::wants(const config::Config& config) const {
  return std::any_of(config.listeners.begin(), config.listeners.end(), inKernel);
}

Status KernelForwarding::stage(const config::Config& config) {
  if (on_ || opened_ || !wants(config)) return success();
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
    log::warning("kernel", lack.what, {{"mend", lack.mend}});
  }
  return success();
}

/// Backends keep the numbers that connections of the process before have them by.
void KernelForwarding::inherit(const kernel::Table::Left& left) {
  config_.tag = left.tag;
  for (const auto& backend : left.backends) slots_[backend.identity] = backend.slot;
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
  if (on_) refresh();
}

// First the worker learns where packets come in, then it looks at what flows already, and only then is it asked.
void KernelForwarding::serve(bool counted) {
  if (on_) return;
  if (!opened_) {
    if (!std::exchange(looked_, true)) disarmLeft();
    return;
  }
  on_ = true;
  proxy_.openFlows(std::make_unique<proxy::KernelGate>(*std::exchange(opened_, std::nullopt)));
  auto plan = flowPlan();
  proxy_.useFlows(plan);
  proxy_.adoptFlows(counted);
  refresh();
  beat();
  beat_ = loop_.every(kBeat, [this] { beat(); });
  log::info("kernel", "the kernel forwards", {{"table", "inet " + config_.table}, {"queue", queue_}});
}

// A table that was left, by a process that forwarded at what are our relays' addresses now, would take their clients.
// Connections that it has forwarded go on.
void KernelForwarding::disarmLeft() {
  kernel::Table table(config_.table);
  auto left = table.left();
  if (!left || !left.value()) return;
  const auto is_ours = [this](const Address& entrance) {
    const auto sockets = proxy_.sockets();
    return std::any_of(sockets.begin(), sockets.end(),
                       [&](const auto& socket) { return socket->address() == entrance; });
  };
  const auto& entrances = left.value()->entrances;
  if (std::none_of(entrances.begin(), entrances.end(), is_ours)) return;
  kernel::TablePlan plan;
  plan.tag = left.value()->tag;
  plan.queue = left.value()->queue.value_or(0);
  plan.backends = left.value()->backends;
  const std::string name = "inet " + config_.table;
  if (auto applied = table.apply(plan); !applied)
    log::error("kernel", "a table of before takes the clients of our listeners, and cannot be changed",
               {{"table", name}, {"error", applied.error().message}, {"mend", "nft delete table " + name}});
  else
    log::warning("kernel", "a table of before forwarded at addresses of our listeners, and does no more",
                 {{"table", name}, {"mend", "nft delete table " + name + ", once its connections are over"}});
}

void KernelForwarding::viewPublished() {
  if (!on_ || std::exchange(refreshing_, true)) return;
  loop_.post([self = self_] {
    if (*self == nullptr) return;
    (*self)->refreshing_ = false;
    if ((*self)->on_) (*self)->refresh();
  });
}

// A backend must be in the table before a worker may name it, and one that leaves stays there while it has flows.
void KernelForwarding::refresh() {
  auto flows = flowPlan();
  auto applied = table_->apply(tablePlan(*flows));
  if (!applied)
    log::error("kernel", "cannot change the table by which the kernel forwards, trying again",
               {{"table", "inet " + config_.table}, {"error", applied.error().message}});
  else if (failed_)
    log::info("kernel", "the table by which the kernel forwards is up to date again",
              {{"table", "inet " + config_.table}});
  failed_ = !applied.ok();
  if (failed_) return;
  forgetSlots(*flows);
  proxy_.useFlows(std::move(flows));
}

void KernelForwarding::beat() {
  if (failed_ || leaving_) refresh();
  if (!proxy_.flowsAnswer(kWorkerPatience)) return;
  if (auto renewed = table_->refresh(); !renewed) failed_ = true;
}

// ---- what the table is to say --------------------------------------------------------------------------------------

std::vector<std::shared_ptr<proxy::Listener>> KernelForwarding::listeners() const {
  std::vector<std::shared_ptr<proxy::Listener>> all;
  for (const auto& listener : proxy_.listeners())
    if (listener->isForwardedByKernel()) all.push_back(listener);
  return all;
}

std::shared_ptr<proxy::FlowPlan> KernelForwarding::flowPlan() {
  auto plan = std::make_shared<proxy::FlowPlan>();
  plan->tag = static_cast<std::uint16_t>(config_.tag);
  leaving_ = false;
  for (const auto& listener : listeners()) {
    const bool keeps = listener->config()->forward_source == config::ForwardSource::kKeep;
    for (const auto& socket : listener->sockets()) plan->entrances.push_back({socket->address(), listener, keeps});
  }
  for (const auto& pool : pools_.all()) addPool(std::shared_ptr<Pool>(pool, &pool->pool()), *plan);
  return plan;
}

// Of pools to which no such listener leads any more, and of backends that leave, those that have flows are in it, too.
void KernelForwarding::addPool(const std::shared_ptr<Pool>& pool, proxy::FlowPlan& plan) {
  const auto leads = listeners();
  const bool used =
      std::any_of(leads.begin(), leads.end(), [&](const auto& one) { return &one->pool() == pool.get(); });
  const auto add = [&](const std::shared_ptr<Backend>& backend, bool leaves) {
    if (!backend->resolved() || backend->address().isUnix()) return;
    if (leaves && !(slots_.contains(backend->identity()) && backend->active() != 0)) return;
    const std::uint32_t slot = slotOf(*backend);
    if (slot == 0) return;
    leaving_ = leaving_ || leaves;
    plan.places[slot] = {backend, pool};
    plan.slots[backend.get()] = slot;
  };
  for (const auto& backend : *pool->backends()) add(backend, !used);
  for (const auto& backend : pool->leaving()) add(backend, true);
}

/// 0 where the table has no more room.
std::uint32_t KernelForwarding::slotOf(const Backend& backend) {
  if (const auto known = slots_.find(backend.identity()); known != slots_.end()) return known->second;
  std::set<std::uint32_t> taken;
  for (const auto& [identity, slot] : slots_) taken.insert(slot);
  for (std::uint32_t n = 0; n < kernel::kLastSlot; ++n) {
    const std::uint32_t slot = next_slot_;
    next_slot_ = next_slot_ % kernel::kLastSlot + 1;
    if (taken.contains(slot)) continue;
    slots_[backend.identity()] = slot;
    return slot;
  }
  log::error("kernel", "the table has no room for another backend", {{"backend", backend.id()}});
  return 0;
}

// A number that is free again is given to another backend as late as can be: entries of conntrack may still name it.
void KernelForwarding::forgetSlots(const proxy::FlowPlan& plan) {
  std::erase_if(slots_, [&](const auto& one) { return !plan.places.contains(one.second); });
}

std::vector<kernel::TablePlan::Choice> KernelForwarding::choices(const Pool& pool, const proxy::FlowPlan& plan) {
  std::vector<kernel::TablePlan::Choice> choices;
  const View* view = pool.view();
  if (view == nullptr || view->eligibleCount() == 0) return choices;
  for (const auto& tier : view->tiers()) {
    const auto& backends = tier.get();
    for (std::uint32_t i = 0; i < backends.eligible_count; ++i) {
      const std::uint32_t index = backends.eligible[i];
      if (const std::uint32_t slot = plan.slotOf(view->backend(index)); slot != 0)
        choices.push_back({slot, backends.backends[index].effective_weight});
    }
    if (!choices.empty()) break;  // the tiers that stand by are for when there is nobody here
  }
  return choices;
}

kernel::TablePlan KernelForwarding::tablePlan(const proxy::FlowPlan& flows) const {
  kernel::TablePlan plan;
  plan.tag = flows.tag;
  plan.queue = queue_;
  for (const auto& [slot, place] : flows.places)
    plan.backends.push_back(
        {slot, place.backend->address(), place.pool->name() + "/" + place.backend->id(), place.backend->identity()});
  std::sort(plan.backends.begin(), plan.backends.end(),
            [](const auto& one, const auto& other) { return one.slot < other.slot; });
  std::uint32_t number = 0;
  for (const auto& listener : listeners()) {
    kernel::TablePlan::Listener entrance;
    entrance.number = ++number;
    for (const auto& socket : listener->sockets()) entrance.addresses.push_back(socket->address());
    const auto config = listener->config();
    entrance.keep_source = config->forward_source == config::ForwardSource::kKeep;
    entrance.idle_timeout = config->idle_timeout;
    entrance.eligible = choices(listener->pool(), flows);
    plan.listeners.push_back(std::move(entrance));
  }
  return plan;
}

// ---- the end -------------------------------------------------------------------------------------------------------

void KernelForwarding::reassert() {
  if (!on_) return;
  table_ = std::make_unique<kernel::Table>(config_.table);
  refresh();
  beat();
}

void KernelForwarding::giveWay() {
  if (!on_) return;
  loop_.cancel(std::exchange(beat_, 0));
  on_ = false;
  proxy_.letGoOfFlows();
}

void KernelForwarding::beginDrain() {
  if (!on_) return;
  if (config_.keep) return giveWay();
  loop_.cancel(std::exchange(beat_, 0));
  kernel::TablePlan plan = tablePlan(*flowPlan());
  plan.listeners.clear();
  if (auto applied = table_->apply(plan); !applied)
    log::error("kernel", "cannot close the listeners that the kernel forwards", {{"error", applied.error().message}});
}

void KernelForwarding::end() {
  if (!std::exchange(on_, false)) return;
  loop_.cancel(std::exchange(beat_, 0));
  if (auto removed = table_->remove(); !removed)
    log::error("kernel", "cannot remove the table by which the kernel forwarded",
               {{"table", "inet " + config_.table}, {"error", removed.error().message}});
}

}  // namespace lemonade::app
