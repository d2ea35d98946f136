// SPDX-License-Identifier: MIT
//
// What a signal begins: a grace, in which those in front learn that they shall send nobody here, and the drain.
#include "admin/server.h"
#include "app/kernel_forwarding.h"
#include "app/load_balancer.h"
#include "app/parent.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/seconds.h"
#include "observe/events.h"
#include "observe/reloads.h"
#include "process/signals.h"
#include "process/watchdog.h"
#include "proxy/proxy.h"
#include "watch/watcher.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kStopMargin = 5s;

}  // namespace

void LoadBalancer::onSignal(int signal) {
  const std::string name = nameOf(signal);
  if (meaningOf(signal) == Meaning::kReopen) return reopen(name, [](const auto&) {});
  if (meaningOf(signal) == Meaning::kReload) {
    if (!stopping()) (void)watcher_->request(name);
    return;
  }
  if (!stopping()) return beginStop(gave_way_ ? "none, another process has taken over" : name);
  log::warning("app", "stopping at once", {{"signal", name}, {"sessions", proxy_->sessions()}});
  if (stage_.load() == Stage::kGrace) beginDrain();  // what it lets go of is not to be ended
  endDrain();
}

void LoadBalancer::beginStop(const std::string& signal) {
  log::info("app", "stopping", {{"signal", signal}, {"sessions", proxy_->sessions()}});
  happened({.kind = EventKind::kStopping, .text = "stopping, signal: " + signal, .fields = {{"signal", signal}}});
  // A service manager may keep the sockets for the next start.
  if (gave_way_ || service_manager_.isThere()) leaveNames();
  const Duration planned = Watchdog::planned(config_.runtime.accept_timeout);
  stop_deadline_ns_ = nowNs() + ns(planned);
  service_manager_.stopping(config_.runtime.accept_timeout + kStopMargin);
  const Duration grace = std::min(this->grace(), planned);
  if (grace == Duration::zero()) return beginDrain();
  stop_timer_ = loop_.after(grace, [this] {
    log::info("app", "the grace is over, no client is accepted any more", {{"sessions", proxy_->sessions()}});
    beginDrain();
  });
  stage_.store(Stage::kGrace);
  log::info("app", "/readyz answers 503, and clients are accepted for a while", {{"grace", secondsText(ns(grace))}});
}

/// Leaves the files of Unix sockets to who listens there from now on.
void LoadBalancer::leaveNames() {
  for (const auto& socket : proxy_->sockets()) socket->leaveName();
  if (admin_ != nullptr)
    for (const auto& socket : admin_->sockets()) socket->leaveName();
}

// Where clients were never served, and where another process listens on these sockets, nobody in front has to learn of
// it. Where the supervisor has died, the addresses are wanted by the one that is started next.
Duration LoadBalancer::grace() const {
  return serving_ && !gave_way_ && !orphaned_ ? config_.runtime.grace : Duration::zero();
}

void LoadBalancer::leaveNow() {
  if (stage_.load() == Stage::kGrace) beginDrain();
  if (!stopping()) (void)::kill(::getpid(), SIGTERM);  // so that the watchdog bounds it
}

void LoadBalancer::beginDrain() {
  loop_.cancel(stop_timer_);
  stage_.store(Stage::kDraining);
  happened({.kind = EventKind::kDraining,
            .text = "no client is accepted any more, " + std::to_string(proxy_->sessions()) + " sessions are left"});
  if (!gave_way_) (void)parent_.supervisor.hold({});  // else clients would wait there for nobody
  // Who kills a supervisor has not asked for a stop: connections go on, and the next start finds the table.
  if (orphaned_)
    kernel_->giveWay();
  else
    kernel_->beginDrain();
  const std::uint64_t now = nowNs();
  const Duration left(static_cast<Duration::rep>(stop_deadline_ns_ > now ? stop_deadline_ns_ - now : 0));
  const Duration patience = std::min(config_.runtime.drain_timeout, left);
  stop_timer_ = loop_.after(patience / 5 * 4, [this, patience] {
    log::warning("app", "the drain timeout is nearly over, closing what is left", {{"sessions", proxy_->sessions()}});
    stop_timer_ = loop_.after(patience / 5, [this] { endDrain(); });
  });
  proxy_->drain(proxy::drainTime(now, patience), [this] {
    try {
      loop_.post([this] { endAfterPredecessor(); });
    } catch (const std::bad_alloc&) {
      // Then the drain ends by its timer.
    }
  });
}

// What a process before this one still counts reaches the one that follows through this one only.
void LoadBalancer::endAfterPredecessor() {
  left_ = true;
  if (!gave_way_ || !predecessor_) endDrain();
}

void LoadBalancer::endDrain() {
  if (std::exchange(ended_, true)) return;
  loop_.cancel(stop_timer_);
  drained_.set_value();
}

}  // namespace lemonade::app
