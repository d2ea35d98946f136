// SPDX-License-Identifier: MIT
#include "app/membership.h"

#include "base/log.h"

#include <algorithm>
#include <set>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
constexpr Duration kAskAgain = 10s;
constexpr Duration kAskAgainUnresolved = 1s;

BackendSettings settingsOf(const config::Backend& configured) {
  return {configured.id,     configured.name,            configured.host,
          configured.weight, configured.max_connections, configured.enabled, configured.priority};
}

bool isNumeric(const std::string& host) { return Address::parse(host, 0).has_value(); }

Address withPort(Address address, std::uint16_t port) {
  address.setPort(port);
  return address;
}

std::string textOf(const std::vector<Address>& addresses) {
  std::string text;
  for (const auto& address : addresses) {
    const std::string one = address.text();
    text += (text.empty() ? "" : ",") + one.substr(0, one.rfind(':'));
  }
  return text;
}

}  // namespace

Membership::Membership(ControlLoop& loop, Resolver& resolver, const Pool& pool, OnChange on_change)
    : loop_(loop),
      resolver_(resolver),
      pool_(pool),
      on_change_(std::move(on_change)),
      self_(std::make_shared<Membership*>(this)) {}

void Membership::stop() {
  *self_ = nullptr;
  loop_.cancel(timer_);
  timer_ = 0;
}

void Membership::configure(std::vector<config::Backend> configured, const Resolutions& resolutions) {
  configured_ = std::move(configured);
  for (const auto& [host, resolution] : resolutions)
    if (resolution.ok()) addresses_[host] = resolution.addresses;
  rebuild();
  loop_.cancel(timer_);
  timer_ = 0;
  const bool names = std::any_of(configured_.begin(), configured_.end(),
                                 [](const auto& backend) { return !isNumeric(backend.host); });
  if (names) timer_ = loop_.after(kAskAgainUnresolved, [this] { askAgain(); });
}

void Membership::rebuild() {
  View::Backends backends;
  for (const auto& configured : configured_) {
    const auto found = addresses_.find(configured.host);
    if (found == addresses_.end()) append(backends, configured, Address());
    if (found == addresses_.end()) continue;
    for (const auto& address : found->second) append(backends, configured, withPort(address, configured.port));
  }
  const auto stays = [&](const std::shared_ptr<Backend>& backend) {
    return std::find(backends.begin(), backends.end(), backend) != backends.end();
  };
  std::erase_if(left_, [&](const auto& backend) { return backend.expired() || stays(backend.lock()); });
  for (const auto& backend : backends_)
    if (!stays(backend)) left_.push_back(backend);
  backends_ = std::move(backends);
  on_change_(backends_);
}

std::shared_ptr<Backend> Membership::known(const Backend& fresh) const {
  const auto same = [&](const Backend& backend) {
    return backend.identity() == fresh.identity() && backend.resolved() == fresh.resolved();
  };
  for (const auto& backend : backends_)
    if (same(*backend)) return backend;
  for (const auto& weak : left_)
    if (auto backend = weak.lock(); backend != nullptr && same(*backend)) return backend;
  return nullptr;
}

void Membership::append(View::Backends& backends, const config::Backend& configured, const Address& address) {
  auto fresh = std::make_shared<Backend>(settingsOf(configured), address, configured.port, pool_.workers());
  if (auto old = known(*fresh); old != nullptr) {
    old->apply(settingsOf(configured));
    fresh = std::move(old);
  } else if (!fresh->resolved()) {
    (void)fresh->setHealth(false, "name does not resolve");
  }
  backends.push_back(std::move(fresh));
}

void Membership::askAgain() {
  std::set<std::string> hosts;
  bool unresolved = false;
  for (const auto& backend : configured_) {
    if (!isNumeric(backend.host)) hosts.insert(backend.host);
    unresolved = unresolved || addresses_.find(backend.host) == addresses_.end();
  }
  for (const auto& host : hosts)
    resolver_.resolve(host, 0, [self = self_, host](const Resolution& resolution) {
      if (*self != nullptr) (*self)->answered(host, resolution);
    });
  timer_ = loop_.after(unresolved ? kAskAgainUnresolved : kAskAgain, [this] { askAgain(); });
}

void Membership::answered(const std::string& host, const Resolution& resolution) {
  const auto known = addresses_.find(host);
  if (!resolution.ok()) {
    // Addresses that were good stay in use, also when the name has gone: a name server in trouble must not take
    // backends away that still answer.
    log::debug("resolve", "a name did not resolve", {{"name", host}, {"reason", resolution.error}});
    return;
  }
  if (known != addresses_.end() && known->second == resolution.addresses) return;
  log::info("resolve", "a name has new addresses",
            {{"name", host},
             {"before", known != addresses_.end() ? textOf(known->second) : ""},
             {"now", textOf(resolution.addresses)}});
  addresses_[host] = resolution.addresses;
  rebuild();
}

}  // namespace lemonade::app
