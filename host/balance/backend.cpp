// SPDX-License-Identifier: MIT
#include "balance/backend.h"

#include "base/clock.h"
#include "config/host_port.h"

namespace lemonade {

namespace {

std::string addressTextOf(const BackendSettings& settings, const Address& address, std::uint16_t port) {
  return address.family() != AF_UNSPEC ? address.text() : config::addressText(settings.host, port);
}

/// FNV-1a (Fowler, Noll, Vo; 64 bit) of id, address and pool, apart by a byte that none of them has. The default pool
/// adds nothing: its backends are known to processes that have no other pool.
std::uint64_t hashOf(std::string_view id, std::string_view address, std::string_view pool) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&hash](unsigned char byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (const char c : id) mix(static_cast<unsigned char>(c));
  mix(0);
  for (const char c : address) mix(static_cast<unsigned char>(c));
  if (pool == Backend::kDefaultPool) return hash;
  mix(0);
  for (const char c : pool) mix(static_cast<unsigned char>(c));
  return hash;
}

}  // namespace

Backend::Backend(BackendSettings settings, const Address& address, std::uint16_t port, std::uint32_t workers,
                 std::string pool)
    : pool_(std::move(pool)),
      id_(settings.id),
      address_(address),
      address_text_(addressTextOf(settings, address, port)),
      identity_(hashOf(id_, address_text_, pool_)) {
  counters_.grow(workers);
  apply(std::move(settings));
}

std::uint64_t Backend::identityOf(const BackendSettings& settings, const Address& address, std::uint16_t port,
                                  const std::string& pool) {
  return hashOf(settings.id, addressTextOf(settings, address, port), pool);
}

void Backend::apply(BackendSettings settings) {
  enabled_.store(settings.enabled, std::memory_order_relaxed);
  weight_.store(settings.weight, std::memory_order_relaxed);
  max_connections_.store(settings.max_connections, std::memory_order_relaxed);
  priority_.store(settings.priority, std::memory_order_relaxed);
  {
    const std::lock_guard lock(text_mutex_);
    name_ = settings.name;
  }
  settings_ = std::make_shared<const BackendSettings>(std::move(settings));
}

bool Backend::setHealth(bool healthy, const std::string& reason) {
  {
    const std::lock_guard lock(text_mutex_);
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
  const std::lock_guard lock(text_mutex_);
  return health_reason_;
}

void Backend::setEjected(bool ejected, const std::string& reason) {
  {
    const std::lock_guard lock(text_mutex_);
    ejection_reason_ = reason;
  }
  const bool flipped = ejected_.exchange(ejected, std::memory_order_relaxed) != ejected;
  if (flipped && healthy()) health_since_.store(unixNs(), std::memory_order_relaxed);
}

std::string Backend::ejectionReason() const {
  const std::lock_guard lock(text_mutex_);
  return ejection_reason_;
}

void Backend::setSuspected(bool suspected) {
  if (suspected && own_trial_ == nullptr) own_trial_ = std::make_shared<Trial>();
  trial_.store(suspected ? own_trial_.get() : nullptr, std::memory_order_release);
}

std::string Backend::name() const {
  const std::lock_guard lock(text_mutex_);
  return name_;
}

}  // namespace lemonade
