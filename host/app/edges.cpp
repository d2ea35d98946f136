// SPDX-License-Identifier: MIT
#include "app/edges.h"

#include "balance/proxy_header.h"
#include "config/host_port.h"

#include <cstdint>

namespace lemonade::app {

namespace {

Address sourceOf(const config::Pool& pool) { return Address::parse(pool.source_address, 0).value_or(Address()); }

/// The version of the header to send; 0: none.
std::uint8_t versionOf(config::SendProxy send) {
  switch (send) {
    case config::SendProxy::kOff:
      return 0;
    case config::SendProxy::kV1:
      return static_cast<std::uint8_t>(ProxyVersion::kV1);
    case config::SendProxy::kV2:
      return static_cast<std::uint8_t>(ProxyVersion::kV2);
  }
  return 0;
}

std::uint8_t versionOfChecks(const config::Pool& pool) {
  switch (pool.health.send_proxy) {
    case config::CheckProxy::kPool:
      return versionOf(pool.send_proxy);
    case config::CheckProxy::kOff:
      return 0;
    case config::CheckProxy::kV1:
      return versionOf(config::SendProxy::kV1);
    case config::CheckProxy::kV2:
      return versionOf(config::SendProxy::kV2);
  }
  return 0;
}

}  // namespace

Result<UnixAccess> unixAccessOf(const config::Listener& listener) {
  UnixAccess access;
  if (listener.mode) access.mode = *listener.mode;
  if (!listener.owner.empty())
    if (auto known = setOwner(access, listener.owner); !known)
      return std::move(known).error().in("listener " + listener.name + ", owner");
  return access;
}

health::Probe::Route routeOf(const config::Pool& pool) {
  health::Probe::Route route;
  route.address = Address::parse(pool.health.address, 0).value_or(Address());
  route.port = static_cast<std::uint16_t>(pool.health.port);
  route.source = sourceOf(pool);
  route.send_proxy = versionOfChecks(pool);
  return route;
}

void applyEdges(const config::Pool& pool, PoolSettings& settings) {
  settings.send_proxy.store(versionOf(pool.send_proxy), std::memory_order_relaxed);
  settings.setSource(sourceOf(pool));
}

}  // namespace lemonade::app
