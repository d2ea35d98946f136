// SPDX-License-Identifier: MIT
#include "app/rebalancing.h"

#include "app/pool_host.h"
#include "balance/pool.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "proxy/parting.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kLook = 500ms;
// A look at ages goes over all sessions: often enough that few are due at each.
constexpr Duration kAgeLookMost = 1s;
constexpr Duration kAgeLookLeast = 100ms;
constexpr int kAgeLooks = 1'000;  // for the whole age

/// In this process: what others have counted may come at once.
std::uint64_t connectsOf(const Backend& backend) {
  std::uint64_t connects = 0;
  for (std::uint32_t i = 0; i < backend.workers(); ++i) connects += backend.counters(i).sessions.value();
  return connects;
}

std::uint32_t roomOf(const Backend& backend) {
  const std::uint32_t most = backend.maxConnections();
  return most == 0 ? BackendShare::kUnlimited : most - std::min(most, backend.active());
}

}  // namespace

void Rebalancing::configure(const config::Pool& config) {
  quiet_ns_.store(ns(config.quiet_after));
  const bool on = config.rebalance == config::Rebalance::kQuiet;
  if (on != on_.exchange(on)) {
    loop_.cancel(std::exchange(looking_, 0));
    rebalance_ = {};
    state_.store(Rebalance::State::kEven);
    if (on) looking_ = loop_.every(kLook, [this] { look(); });
  }
  const std::uint64_t age = ns(config.max_session_age);
  if (age == max_age_ns_.exchange(age)) return;
  loop_.cancel(std::exchange(looking_at_ages_, 0));
  const auto every = std::clamp<Duration>(config.max_session_age / kAgeLooks, kAgeLookLeast, kAgeLookMost);
  if (age != 0) looking_at_ages_ = loop_.every(every, [this] { lookAtAges(); });
}

void Rebalancing::end() {
  loop_.cancel(std::exchange(looking_, 0));
  loop_.cancel(std::exchange(looking_at_ages_, 0));
}

// A client that waits for a place would be joined by those who come back.
bool Rebalancing::isPossible() const {
  if (pool_.view() == nullptr || pool_.panic() || pool_.view()->eligibleCount() < 2) return false;
  bool queued = false;
  pool_.forEachWorker([&](const PoolAtWorker& at) { queued = queued || at.counters.queued.value() != 0; });
  return !queued;
}

// New clients go to the first tier, so that has all of the weight.
std::vector<BackendShare> Rebalancing::shares() const {
  std::vector<BackendShare> shares;
  if (!isPossible()) return shares;
  const View& view = *pool_.view();
  for (const auto& tier : view.tiers())
    for (std::uint32_t i = 0; i < tier.get().eligible_count; ++i) {
      const std::uint32_t index = tier.get().eligible[i];
      const Backend& backend = view.backend(index);
      const bool first = &tier == &view.tiers().front();
      const double weight = first ? lemonade_view_backend(&tier.get(), index)->effective_weight : 0.0;
      shares.push_back({backend.identity(), weight, backend.active(), roomOf(backend), connectsOf(backend)});
    }
  return shares;
}

std::uint64_t Rebalancing::parted() const noexcept {
  std::uint64_t parted = 0;
  pool_.forEachWorker([&](const PoolAtWorker& at) { parted += at.counters.parted_rebalance.value(); });
  return parted;
}

void Rebalancing::look() {
  const auto shares = this->shares();
  const auto before = rebalance_.state();
  const auto orders = rebalance_.look(loop_.clock().nowNs(), shares, parted());
  state_.store(rebalance_.state());
  if (rebalance_.state() != before) tell(before, shares);
  if (orders.empty()) return;
  auto order = std::make_shared<proxy::PartingOrder>(pool_, quiet_ns_.load(), proxy::CloseReason::kRebalance);
  for (const auto& [identity, sessions] : orders) order->add(identity, sessions);
  host_.partSessions(order);
}

void Rebalancing::lookAtAges() {
  if (!isPossible()) return;
  auto order = std::make_shared<proxy::PartingOrder>(pool_, quiet_ns_.load(), proxy::CloseReason::kMaxAge);
  order->setMaxAge(max_age_ns_.load());
  host_.partSessions(order);
}

void Rebalancing::tell(Rebalance::State before, const std::vector<BackendShare>& shares) {
  const auto state = rebalance_.state();
  const std::string closed = std::to_string(rebalance_.progress().closed);
  const std::string gained = std::to_string(rebalance_.progress().gained);
  if (state == Rebalance::State::kMoving) {
    std::string text;
    for (const auto& share : shares) text += (text.empty() ? "" : ", ") + std::to_string(share.sessions);
    log::info("balance", "sessions are far from even, quiet ones are closed",
              {{"sessions", text}, {"pool", pool_.name()}});
    return host_.happened({.kind = EventKind::kRebalanceBegan,
                           .text = "quiet sessions of pool " + pool_.name() + " are closed, its backends have " + text,
                           .pool = pool_.name(),
                           .fields = {{"sessions", text}}});
  }
  if (before != Rebalance::State::kMoving) return;
  const bool rests = state == Rebalance::State::kResting;
  const std::string rest = rests ? std::to_string(rebalance_.restNs() / 1'000'000'000) + " s" : "";
  if (rests)
    log::warning("balance", "sessions that are closed to even out do not come to other backends, none is for a while",
                 {{"closed", closed}, {"gained", gained}, {"rests", rest}, {"pool", pool_.name()}});
  else
    log::info("balance", "no more quiet sessions are closed", {{"closed", closed}, {"pool", pool_.name()}});
  host_.happened({.kind = EventKind::kRebalanceEnded,
                  .text = "closed " + closed + " quiet sessions of pool " + pool_.name() +
                          (rests ? ", of which too few came to other backends: rests for " + rest : ""),
                  .pool = pool_.name(),
                  .fields = {{"closed", closed}, {"gained", gained}, {"rests", rest}}});
}

std::optional<RebalanceStatus> Rebalancing::status() const {
  const std::uint64_t age = max_age_ns_.load();
  if (!on_.load() && age == 0) return std::nullopt;
  RebalanceStatus status;
  status.quiet = on_.load();
  status.max_age_ns = age;
  switch (state_.load()) {
    case Rebalance::State::kEven:
      status.state = "even";
      break;
    case Rebalance::State::kMoving:
      status.state = "moving";
      break;
    case Rebalance::State::kResting:
      status.state = "resting";
      break;
  }
  return status;
}

}  // namespace lemonade::app
