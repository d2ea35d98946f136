// SPDX-License-Identifier: MIT
#include "balance/rebalance.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace lemonade {

namespace {

constexpr std::uint64_t kSettling = 2'000'000'000;   // who may be picked is as it is for so long
constexpr std::uint64_t kPatience = 10'000'000'000;  // for sessions that were closed to come again
constexpr std::uint64_t kShortestRest = 60'000'000'000;
constexpr std::uint64_t kLongestRest = 3'600'000'000'000;
constexpr double kHalfLife = 30e9;      // of what is remembered of connects
constexpr double kKnown = 8;            // connects from which on shares of them say something
constexpr double kWellKnown = 24;       // and say that a backend is avoided
constexpr double kAvoided = 0.75;       // of its share by weight a backend gets less than that
constexpr double kDoubts = 2;           // standard deviations
constexpr std::uint64_t kUnproven = 8;  // sessions that are closed without proof
constexpr double kForEachGained = 2;    // sessions that may be closed, where all come to one that was to get some
constexpr double kMostForEachGained = 8;
constexpr double kPart = 8;  // of what is too much one in so many is closed at a look

/// So many sessions off is far from a target, and so many is even. Where the target is none, one is too many.
double farFrom(double target) { return target == 0 ? 1 : std::max(2.0, target / 4); }
double nearTo(double target) { return target == 0 ? 0.5 : std::max(1.0, target / 10); }

/// The standard deviation of a share of so many that were seen.
double deviation(double part, double of) {
  const double share = (part + 1) / (of + 2);
  return std::sqrt(share * (1 - share) / of);
}

}  // namespace

std::vector<Rebalance::Order> Rebalance::look(std::uint64_t now_ns, const std::vector<BackendShare>& backends,
                                              std::uint64_t closed) {
  progress_.closed += closed - closed_;
  closed_ = closed;
  if (!remembers(backends)) {
    beginAnew(now_ns, backends);
    return {};
  }
  remember(now_ns, backends);
  if (now_ns < begin_ns_ || backends.size() < 2) return {};
  Plan plan = makePlan(backends);
  if (state_ == State::kResting) {  // it is over
    state_ = State::kEven;
    fresh_ = true;
  }
  if (plan.even) {
    if (plan.even_by_weight) rest_ns_ = 0;
    fresh_ = fresh_ || plan.even_by_weight;
    end();
  }
  if (state_ == State::kEven && plan.far) {
    state_ = State::kMoving;
    if (std::exchange(fresh_, false)) progress_ = {};
  }
  return state_ == State::kMoving ? order(now_ns, backends, std::move(plan)) : std::vector<Order>{};
}

bool Rebalance::remembers(const std::vector<BackendShare>& backends) const noexcept {
  return std::equal(memory_.begin(), memory_.end(), backends.begin(), backends.end(),
                    [](const Memory& one, const BackendShare& now) {
                      return one.identity == now.identity && one.first_tier == (now.weight != 0);
                    });
}

// What came while others could be picked says nothing of what will.
void Rebalance::beginAnew(std::uint64_t now_ns, const std::vector<BackendShare>& backends) {
  memory_.clear();
  for (const auto& one : backends)
    memory_.push_back({.identity = one.identity, .first_tier = one.weight != 0, .connects = one.connects});
  looked_ns_ = now_ns;
  begin_ns_ = now_ns + kSettling;
  rest_ns_ = 0;
  fresh_ = true;
  end();
}

void Rebalance::end() noexcept {
  state_ = State::kEven;
  stuck_since_ns_ = 0;
  for (auto& one : memory_) one.receives = false;
}

void Rebalance::remember(std::uint64_t now_ns, const std::vector<BackendShare>& backends) {
  const double keep = std::exp2(-static_cast<double>(now_ns - looked_ns_) / kHalfLife);
  looked_ns_ = now_ns;
  double all = 0, weights = 0, sessions = 0;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    all += static_cast<double>(backends[i].connects - memory_[i].connects);
    weights += backends[i].weight;
    sessions += backends[i].sessions;
  }
  for (std::size_t i = 0; i < backends.size(); ++i) {
    Memory& one = memory_[i];
    const std::uint64_t came = backends[i].connects - one.connects;
    one.connects = backends[i].connects;
    if (one.receives) progress_.gained += came;
    one.recent = one.recent * keep + static_cast<double>(came);
    const double share = weights > 0 ? sessions * backends[i].weight / weights : 0;
    // One that has more than its share gets fewer by a strategy that goes by sessions, which says nothing.
    const double above = backends[i].sessions - share;
    if (above > nearTo(share)) one.own = one.own_of = 0;
    one.own = one.own * keep + (above <= 1 ? static_cast<double>(came) : 0);
    one.own_of = one.own_of * keep + (above <= 1 ? all : 0);
    if (one.own_of < kWellKnown || weights <= 0) continue;
    const double given = one.own / one.own_of + kDoubts * deviation(one.own, one.own_of);
    one.avoided = given < kAvoided * backends[i].weight / weights;
  }
}

// The share of all sessions that a backend may have. Of its share of new ones only what is beyond doubt counts.
double Rebalance::mostOf(std::size_t index, double share, double recent) const {
  if (recent < kKnown || share == 0) return share;
  const double given = memory_[index].recent / recent;
  const double doubt = deviation(memory_[index].recent, recent);
  return given - kDoubts * doubt > share ? given + doubt : share;
}

Rebalance::Plan Rebalance::makePlan(const std::vector<BackendShare>& backends) const {
  Plan plan{.distances = std::vector<Distance>(backends.size())};
  double weights = 0, sessions = 0, recent = 0;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    weights += backends[i].weight;
    sessions += backends[i].sessions;
    recent += memory_[i].recent;
  }
  if (weights <= 0) return plan;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    const BackendShare& one = backends[i];
    const double share = one.weight / weights;
    const double most = mostOf(i, share, recent) * sessions;
    Distance& distance = plan.distances[i];
    distance.surplus = std::max(0.0, one.sessions - most);
    if (!memory_[i].avoided)
      distance.deficit = std::clamp(share * sessions - one.sessions, 0.0, static_cast<double>(one.room));
    const bool fills = share > 0 && distance.deficit >= farFrom(share * sessions);
    const bool full = share == 0 || distance.deficit <= nearTo(share * sessions);
    plan.far = plan.far || fills || distance.surplus >= farFrom(most);
    plan.even = plan.even && full && distance.surplus <= nearTo(most);
    plan.even_by_weight = plan.even_by_weight && full && one.sessions - share * sessions <= nearTo(share * sessions);
  }
  addUp(backends, plan);
  if (!plan.even && plan.movable >= 1) return plan;
  Plan avoided = planOfAvoided(backends, sessions);
  avoided.even_by_weight = plan.even_by_weight;
  return avoided;
}

Rebalance::Plan Rebalance::planOfAvoided(const std::vector<BackendShare>& backends, double sessions) const {
  Plan plan{.distances = std::vector<Distance>(backends.size())};
  for (std::size_t i = 0; i < backends.size(); ++i) {
    const Memory& one = memory_[i];
    if (!one.first_tier) continue;
    Distance& distance = plan.distances[i];
    if (one.avoided && one.own_of >= kWellKnown) {
      const double most = sessions * (one.own / one.own_of + kDoubts * deviation(one.own, one.own_of));
      distance.surplus = std::max(0.0, backends[i].sessions - most);
      plan.far = plan.far || distance.surplus >= farFrom(most);
      plan.even = plan.even && distance.surplus <= nearTo(most);
    }
    if (distance.surplus < 1) distance.deficit = backends[i].room;
  }
  addUp(backends, plan);
  if (plan.movable < 1) return Plan{.distances = std::move(plan.distances)};
  return plan;
}

void Rebalance::addUp(const std::vector<BackendShare>& backends, Plan& plan) {
  double surplus = 0, deficit = 0, weights = 0;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    surplus += plan.distances[i].surplus;
    deficit += plan.distances[i].deficit;
    weights += backends[i].weight;
    if (plan.distances[i].deficit > 0) plan.receivers += backends[i].weight;
  }
  plan.movable = std::min(surplus, deficit);
  if (weights > 0) plan.receivers /= weights;
}

std::vector<Rebalance::Order> Rebalance::order(std::uint64_t now_ns, const std::vector<BackendShare>& backends,
                                               Plan plan) {
  for (std::size_t i = 0; i < backends.size(); ++i) memory_[i].receives = plan.distances[i].deficit > 0;
  // By turns the receivers get their share of what is closed, and by most strategies more.
  const double each = std::min(kForEachGained / std::max(plan.receivers, 1e-9), kMostForEachGained);
  const auto allowed = kUnproven + static_cast<std::uint64_t>(each * static_cast<double>(progress_.gained));
  if (progress_.closed >= allowed) {
    if (stuck_since_ns_ == 0) stuck_since_ns_ = now_ns;
    if (now_ns - stuck_since_ns_ < kPatience) return {};
    end();
    state_ = State::kResting;
    rest_ns_ = std::clamp(2 * rest_ns_, kShortestRest, kLongestRest);
    begin_ns_ = now_ns + rest_ns_;
    return {};
  }
  stuck_since_ns_ = 0;
  auto left = std::min({static_cast<std::uint64_t>(std::max(1.0, plan.movable / kPart)), std::uint64_t{kMostAtOnce},
                        allowed - progress_.closed});
  std::vector<Order> orders(backends.size());
  for (; left != 0; --left) {
    const auto most = std::max_element(plan.distances.begin(), plan.distances.end(),
                                       [](const auto& a, const auto& b) { return a.surplus < b.surplus; });
    if (most->surplus < 0.5) break;
    most->surplus -= 1;
    const auto i = static_cast<std::size_t>(most - plan.distances.begin());
    orders[i].identity = backends[i].identity;
    ++orders[i].sessions;
  }
  std::erase_if(orders, [](const Order& one) { return one.sessions == 0; });
  if (orders.empty()) end();
  return orders;
}

}  // namespace lemonade
