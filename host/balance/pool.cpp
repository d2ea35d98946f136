// SPDX-License-Identifier: MIT
#include "balance/pool.h"

#include "balance/feedback.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <unordered_set>
#include <utility>

namespace lemonade {

Pool::Pool(std::string name, Quiescence& quiescence, std::uint32_t workers)
    : name_(std::move(name)),
      quiescence_(quiescence),
      workers_(workers),
      names_(std::make_shared<const ViewNames>(ViewNames{.pool = name_, .zone = {}})),
      backends_(std::make_shared<View::Backends>()) {
  at_workers_.grow(workers);
}

Pool::~Pool() = default;

Status Pool::addWorkers(std::uint32_t workers) {
  if (strategy_ != nullptr)
    if (auto added = strategy_->addLanes(workers); !added) return added;
  if (shadow_ != nullptr)
    if (auto added = shadow_->addLanes(workers); !added) return added;
  for (const auto& backend : *backends()) backend->addWorkers(workers);
  for (const auto& backend : leaving_) backend->addWorkers(workers);
  at_workers_.grow(workers);
  workers_ = std::max(workers_, workers);
  return success();
}

View::Backends Pool::setBackends(View::Backends backends) {
  const std::unordered_set<std::shared_ptr<Backend>> staying(backends.begin(), backends.end());
  View::Backends left;
  for (const auto& backend : *this->backends())
    if (!staying.contains(backend)) {
      backend->setDraining(true);
      backend->ramp().stop();
      left.push_back(backend);
    }
  auto after = std::make_shared<const View::Backends>(std::move(backends));
  const std::lock_guard lock(mutex_);
  std::erase_if(leaving_, [&](const auto& backend) {
    const bool back = staying.contains(backend);
    if (back) backend->setDraining(false);
    return back;
  });
  leaving_.insert(leaving_.end(), left.begin(), left.end());
  backends_ = std::move(after);
  return left;
}

bool Pool::publish(std::uint64_t now_ns) {
  const auto backends = this->backends();
  const auto eligible = chooseEligible(*backends, rules_.panic_threshold);
  std::vector<bool> let(backends->size());
  for (const auto& tier : eligible.tiers)
    for (const auto index : tier) let[index] = true;
  for (std::size_t i = 0; i < backends->size(); ++i)
    (*backends)[i]->ramp().observe(let[i], serial_ == 0 || starting_, rules_.slow_start, now_ns);
  panic_ = eligible.panic;
  auto view = std::make_shared<View>(*backends, eligible, strategy_, rules_.slow_start, now_ns, ++serial_, names_);
  if (shadow_ != nullptr)
    view->setShadow(
        std::make_unique<const View>(*backends, eligible, shadow_, rules_.slow_start, now_ns, serial_, names_));
  quiescence_.makeRoom();
  eligible_.store(view->eligibleCount(), std::memory_order_relaxed);
  current_.store(view.get(), std::memory_order_release);
  shadowed_.store(shadow_ != nullptr, std::memory_order_relaxed);
  published_.store(serial_, std::memory_order_release);
  if (view_ != nullptr) quiescence_.retire(std::move(view_));
  view_ = std::move(view);
  return view_->ramping();
}

void Pool::setRecorder(std::shared_ptr<PickRecorder> recorder) {
  quiescence_.makeRoom();
  recording_.store(recorder.get(), std::memory_order_release);
  if (recorder_ != nullptr) quiescence_.retire(std::move(recorder_));
  recorder_ = std::move(recorder);
}

void Pool::clear() {
  setRecorder(nullptr);
  current_.store(nullptr, std::memory_order_release);
  if (view_ != nullptr) quiescence_.retire(std::exchange(view_, nullptr));
  strategy_.reset();
  shadow_.reset();
  (void)quiescence_.reclaim();
  (void)reclaim();
}

void Pool::leave() {
  auto reached = std::make_shared<int>(0);
  reached_ = reached;
  quiescence_.retire(std::move(reached));
  end_ = End::kLeft;
}

void Pool::comeBack() noexcept {
  reached_.reset();
  end_ = End::kUsed;
}

// First every worker passes a point at which it has read nothing that leads here: from then on no session begins. When
// the last one has ended, its worker may still be about to touch the pool, until it passes such a point once more.
bool Pool::isUnused() {
  if (end_ == End::kUsed || !reached_.expired()) return false;
  if (end_ == End::kEmpty) return true;
  if (sessions() != 0) return false;
  for (std::uint32_t i = 0; i < at_workers_.size(); ++i)
    if (at_workers_[i].place_offered.load() != 0) return false;  // the worker will look at it here
  leave();
  end_ = End::kEmpty;
  return false;
}

std::size_t Pool::reclaim() {
  const std::lock_guard lock(mutex_);
  // No view that could still be picked from holds a backend that is leaving, once it is the only one to hold it.
  std::erase_if(leaving_, [](const auto& backend) {
    const bool idle = std::atomic_ref(backend->stats().active).load(std::memory_order_acquire) == 0;
    return idle && backend.use_count() == 1;
  });
  return leaving_.size();
}

std::shared_ptr<const View::Backends> Pool::backends() const {
  const std::lock_guard lock(mutex_);
  return backends_;
}

View::Backends Pool::leaving() const {
  const std::lock_guard lock(mutex_);
  View::Backends leaving;
  std::copy_if(leaving_.begin(), leaving_.end(), std::back_inserter(leaving),
               [](const auto& backend) { return backend->active() != 0; });
  return leaving;
}

std::vector<const PoolCounters*> Pool::counters() const {
  std::vector<const PoolCounters*> counters;
  for (std::uint32_t i = 0; i < at_workers_.size(); ++i) counters.push_back(&at_workers_[i].counters);
  return counters;
}

std::uint64_t Pool::sessions() const noexcept {
  std::uint64_t sessions = 0;
  for (std::uint32_t i = 0; i < at_workers_.size(); ++i) sessions += at_workers_[i].counters.sessions.value();
  return sessions;
}

std::uint64_t Pool::slowestPick(std::uint64_t now) const noexcept {
  std::uint64_t slowest = 0;
  for (std::uint32_t i = 0; i < at_workers_.size(); ++i)
    slowest = std::max(slowest, at_workers_[i].slowest_pick.of(now));
  return slowest;
}

// Between two looks it counts as it was found, which comes to the right share of the time also where it changes often.
void Pool::watchLimits(std::uint64_t now_ns) noexcept {
  if (full_since_ns_ != 0 && now_ns > full_since_ns_) full_ns_.add(now_ns - full_since_ns_);
  full_since_ns_ = isFull() ? now_ns : 0;
}

bool Pool::isFull() const noexcept {
  if (view_ == nullptr || view_->eligibleCount() == 0) return false;
  for (const auto& tier : view_->tiers())
    for (std::uint32_t i = 0; i < tier.get().eligible_count; ++i) {
      const Backend& backend = view_->backend(tier.get().eligible[i]);
      if (backend.maxConnections() == 0 || backend.active() < backend.maxConnections()) return false;
    }
  return true;
}

bool Pool::hasPlace() const noexcept {
  const View* view = current_.load(std::memory_order_acquire);
  if (view == nullptr) return false;
  for (const auto& tier : view->tiers())
    for (std::uint32_t i = 0; i < tier.get().eligible_count; ++i) {
      const Backend& backend = view->backend(tier.get().eligible[i]);
      if (const std::uint32_t most = backend.maxConnections(); most != 0 && backend.active() < most) return true;
    }
  return false;
}

// Whoever waits has said so before it looked for a place a last time. Both write the same number: either the waiter's
// writing comes first, and it is told here, or this one does, and the waiter's last look sees the place.
void Pool::release(Backend& backend) noexcept {
  const bool limited = backend.maxConnections() != 0;
  feedback::release(backend);
  if (!limited) return;
  if (queued_.fetch_add(0) != 0) offerPlace(0);
}

void Pool::offerPlace(std::uint64_t after) noexcept {
  const std::uint32_t count = at_workers_.size();  // which a reload may raise
  for (std::uint32_t longest = count;; longest = count) {
    std::uint64_t since = std::numeric_limits<std::uint64_t>::max();
    for (std::uint32_t i = 0; i < count; ++i)
      if (const std::uint64_t its = at_workers_[i].queued_since.load(); its > after && its < since) {
        since = its;
        longest = i;
      }
    if (longest == count) return;
    PoolAtWorker& at = at_workers_[longest];
    std::uint64_t nothing = 0;
    if (at.place_offered.compare_exchange_strong(nothing, since)) return on_place_offered_(longest, at);
    // Written also where it stays as it is: the worker to which a place was offered before will look after this, and
    // see this place too.
    if (at.place_offered.fetch_add(0) != 0) after = since;
  }
}

void Pool::noteFailure(Backend& backend) noexcept {
  const std::uint32_t most = suspicious_.load(std::memory_order_relaxed);
  if (most == 0) return;
  if (lemonade_load_u32(&backend.stats().fail_streak) < most && feedback::doubts(backend) < most) return;
  if (backend.raiseSuspicion()) on_suspicion_();
}

bool Pool::wants(std::uint32_t type) const noexcept {
  const View* view = current_.load(std::memory_order_acquire);
  return view != nullptr && (view->events() & type) != 0;
}

void Pool::tell(std::uint32_t worker, lemonade_strategy_event_t& event, std::uint64_t generation,
                const ShadowTie& tie) const noexcept {
  const View* view = current_.load(std::memory_order_acquire);
  if (view == nullptr) return;
  event.foreign = generation == view->strategy().info().number ? 0 : 1;
  tellOne(view->strategy(), worker, event);
  if (view->shadow() == nullptr) return;
  const Strategy& shadow = view->shadow()->strategy();
  auto seen = event;
  seen.foreign = tie.generation == shadow.info().number ? 0 : 1;
  seen.cookie = seen.foreign == 0 ? tie.cookie : 0;
  tellOne(shadow, worker, seen);
}

void Pool::tellOne(const Strategy& strategy, std::uint32_t worker, const lemonade_strategy_event_t& event) noexcept {
  if ((strategy.table().events & event.type) == 0) return;
  (void)strategy.guard().call(plugin::Function::kEvent,
                              [&] { strategy.table().event(strategy.self(), strategy.lane(worker), &event); });
}

}  // namespace lemonade
