// SPDX-License-Identifier: MIT
#include "balance/backend.h"

#include "base/clock.h"
#include "base/hash.h"
#include "config/host_port.h"

namespace lemonade {

namespace {

std::string addressTextOf(const config::Backend& settings, const Address& address) {
  return address.family() != AF_UNSPEC ? address.text() : config::addressText(settings.host, settings.port);
}

/// The hash of id, address and pool, with a byte between them that none of them has. The default pool adds nothing: its
/// backends are known to processes that have no other pool.
std::uint64_t hashOf(std::string_view id, std::string_view address, std::string_view pool) {
  constexpr std::string_view kBetween("\0", 1);
  const std::uint64_t hash = fnv1a(address, fnv1a(kBetween, fnv1a(id)));
  return pool == Backend::kDefaultPool ? hash : fnv1a(pool, fnv1a(kBetween, hash));
}

}  // namespace

Backend::Backend(config::Backend settings, const Address& address, std::uint32_t workers, std::string pool)
    : pool_(std::move(pool)),
      id_(settings.id),
      address_(address),
      address_text_(addressTextOf(settings, address)),
      identity_(hashOf(id_, address_text_, pool_)) {
  speed_.struct_size = sizeof(speed_);
  counters_.grow(workers);
  apply(std::move(settings));
}

std::uint64_t Backend::identityOf(const config::Backend& settings, const Address& address, const std::string& pool) {
  return hashOf(settings.id, addressTextOf(settings, address), pool);
}

void Backend::apply(config::Backend settings) {
  if (names_.empty() || *names_.back() != settings.name) {
    names_.push_back(std::make_unique<const std::string>(settings.name));
    name_.store(names_.back().get(), std::memory_order_release);
  }
  auto shared = std::make_shared<const config::Backend>(std::move(settings));
  {
    const std::lock_guard lock(mutex_);
    settings_ = std::move(shared);
  }
  useOverrides();
}

void Backend::setOverrides(std::vector<Override> overrides) {
  {
    const std::lock_guard lock(mutex_);
    overrides_ = std::move(overrides);
  }
  useOverrides();
}

std::vector<Override> Backend::overrides() const {
  const std::lock_guard lock(mutex_);
  return overrides_;
}

void Backend::useOverrides() {
  bool enabled = settings_->enabled, held_back = false;
  std::uint32_t weight = settings_->weight, max_connections = settings_->max_connections;
  for (const auto& one : overrides_) switch (one.action) {
      case Override::Action::kDrain:
        held_back = true;
        break;
      case Override::Action::kDisable:
        enabled = false;
        break;
      case Override::Action::kWeight:
        weight = one.value;
        break;
      case Override::Action::kMaxConnections:
        max_connections = one.value;
        break;
    }
  enabled_.store(enabled, std::memory_order_relaxed);
  held_back_.store(held_back, std::memory_order_relaxed);
  weight_.store(weight, std::memory_order_relaxed);
  max_connections_.store(max_connections, std::memory_order_relaxed);
  priority_.store(settings_->priority, std::memory_order_relaxed);
}

std::shared_ptr<const config::Backend> Backend::sharedSettings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

bool Backend::setHealth(bool healthy, const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    health_reason_ = reason;
  }
  const bool flipped = healthy_.exchange(healthy, std::memory_order_relaxed) != healthy;
  if (flipped) health_since_.store(unixNs(), std::memory_order_relaxed);
  return flipped;
}

void Backend::inheritHealth(bool healthy, const std::string& reason, bool degraded, std::uint64_t since_unix_ns) {
  (void)setHealth(healthy, reason);
  (void)setDegraded(degraded);
  health_since_.store(since_unix_ns, std::memory_order_relaxed);
}

BackendCounters& Backend::inherited() {
  if (own_inherited_ == nullptr) {
    own_inherited_ = std::make_unique<BackendCounters>();
    inherited_.store(own_inherited_.get(), std::memory_order_release);
  }
  return *own_inherited_;
}

std::string Backend::healthReason() const {
  const std::lock_guard lock(mutex_);
  return health_reason_;
}

void Backend::setEjected(bool ejected, const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    ejection_reason_ = reason;
  }
  const bool flipped = ejected_.exchange(ejected, std::memory_order_relaxed) != ejected;
  if (flipped && healthy()) health_since_.store(unixNs(), std::memory_order_relaxed);
}

std::string Backend::ejectionReason() const {
  const std::lock_guard lock(mutex_);
  return ejection_reason_;
}

void Backend::setSuspected(bool suspected, std::uint64_t slow_ns) {
  if (suspected && own_trial_ == nullptr) own_trial_ = std::make_shared<Trial>();
  if (suspected) own_trial_->setSlowNs(slow_ns);
  trial_.store(suspected ? own_trial_.get() : nullptr, std::memory_order_release);
}

}  // namespace lemonade
