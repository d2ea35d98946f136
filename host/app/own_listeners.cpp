// SPDX-License-Identifier: MIT
#include "app/own_listeners.h"

#include <arpa/inet.h>
#include <ifaddrs.h>

#include <algorithm>
#include <memory>

namespace lemonade::app {

namespace {

Address hostOf(Address address) {
  address.setPort(0);
  return address;
}

/// The kernel takes a connection to "any address" to the loopback.
Address meant(const Address& target) {
  if (!target.isWildcard()) return target;
  return *Address::parse(target.family() == AF_INET ? "127.0.0.1" : "::1", target.port());
}

bool isLoopback(const Address& host) {
  if (host.family() == AF_INET6) return host == *Address::parse("::1", 0);
  const auto& v4 = *reinterpret_cast<const sockaddr_in*>(host.get());
  return (ntohl(v4.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
}

}  // namespace

OwnListeners::OwnListeners(std::vector<Address> listeners) : listeners_(std::move(listeners)) {
  if (std::ranges::none_of(listeners_, &Address::isWildcard)) return;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, ::freeifaddrs);
  for (const auto* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    const bool v4 = one->ifa_addr->sa_family == AF_INET;
    if (v4 || one->ifa_addr->sa_family == AF_INET6)
      interfaces_.push_back(hostOf(Address(one->ifa_addr, v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6))));
  }
}

bool OwnListeners::isOwn(const Address& host) const {
  return isLoopback(host) || std::find(interfaces_.begin(), interfaces_.end(), host) != interfaces_.end();
}

bool OwnListeners::reachedBy(const Address& target) const {
  if (target.isUnix()) return std::find(listeners_.begin(), listeners_.end(), target) != listeners_.end();
  if (target.family() != AF_INET && target.family() != AF_INET6) return false;
  const Address address = meant(target);
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const Address& listener) {
    if (listener.family() != address.family() || listener.port() != address.port()) return false;
    return listener == address || (listener.isWildcard() && isOwn(hostOf(address)));
  });
}

}  // namespace lemonade::app
