// SPDX-License-Identifier: MIT
#include "app/membership.h"

#include "base/log.h"

#include <algorithm>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
constexpr Duration kNeverResolvedInterval = 1s;

BackendSettings settingsOf(const config::Backend& configured) {
  return {configured.id,      configured.name,    configured.host, configured.weight, configured.max_connections,
          configured.enabled, configured.priority};
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
    if (!text.empty()) text += ',';
    text.append(one, 0, one.rfind(':'));
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
  loop_.cancel(std::exchange(timer_, 0));
}

void Membership::configure(std::vector<config::Backend> configured, const Resolutions& resolutions,
                           Duration resolve_interval) {
  configured_ = std::move(configured);
  resolve_interval_ = resolve_interval;
  auto before = std::exchange(names_, {});
  for (const auto& backend : configured_) {
    if (auto known = before.extract(backend.host); !known.empty()) names_.insert(std::move(known));
    auto& name = names_[backend.host];
    const auto found = resolutions.find(backend.host);
    if (found == resolutions.end()) continue;
    name.failing = !found->second.ok();
    if (found->second.ok()) name.addresses = found->second.addresses;
  }
  rebuild();
  askSoon();
}

void Membership::rebuild() {
  std::map<Key, std::shared_ptr<Backend>> known;
  const auto keyOf = [](const Backend& backend) { return Key(backend.identity(), backend.resolved()); };
  std::erase_if(left_, [](const auto& backend) { return backend.expired(); });
  for (const auto& weak : left_)
    if (auto backend = weak.lock(); backend != nullptr) known.emplace(keyOf(*backend), std::move(backend));
  for (const auto& backend : backends_) known.insert_or_assign(keyOf(*backend), backend);

  View::Backends backends;
  for (const auto& configured : configured_) {
    const auto& addresses = names_[configured.host].addresses;
    if (addresses.empty()) append(backends, known, configured, Address());
    for (const auto& address : addresses) append(backends, known, configured, withPort(address, configured.port));
  }
  for (const auto& backend : backends) known.erase(keyOf(*backend));
  left_.clear();
  for (const auto& [key, backend] : known) left_.push_back(backend);
  backends_ = std::move(backends);
  on_change_(backends_);
}

void Membership::append(View::Backends& backends, const std::map<Key, std::shared_ptr<Backend>>& known,
                        const config::Backend& configured, const Address& address) const {
  auto backend = std::make_shared<Backend>(settingsOf(configured), address, configured.port, pool_.workers());
  if (const auto old = known.find({backend->identity(), backend->resolved()}); old != known.end()) {
    old->second->apply(settingsOf(configured));
    backend = old->second;
  } else if (!backend->resolved()) {
    (void)backend->setHealth(false, "name does not resolve");
  }
  backends.push_back(std::move(backend));
}

void Membership::askSoon() {
  loop_.cancel(std::exchange(timer_, 0));
  bool any = false;
  bool unresolved = false;
  for (const auto& [host, name] : names_) {
    any = any || !isNumeric(host);
    unresolved = unresolved || name.addresses.empty();
  }
  const auto interval = unresolved ? std::min(resolve_interval_, kNeverResolvedInterval) : resolve_interval_;
  if (any) timer_ = loop_.after(interval, [this] { askAgain(); });
}

void Membership::askAgain() {
  for (auto& [host, name] : names_) {
    if (isNumeric(host) || std::exchange(name.asked, true)) continue;
    resolver_.resolve(host, 0, [self = self_, host = host](const Resolution& resolution) {
      if (*self != nullptr) (*self)->answered(host, resolution);
    });
  }
  askSoon();
}

void Membership::answered(const std::string& host, const Resolution& resolution) {
  const auto found = names_.find(host);
  if (found == names_.end()) return;  // no longer configured
  auto& name = found->second;
  name.asked = false;
  const bool failed = std::exchange(name.failing, !resolution.ok());
  if (!resolution.ok()) {
    // Addresses that were good stay in use, also when the name has gone: a name server in trouble must not take
    // backends away that still answer.
    if (!failed)
      log::warning("resolve", "a name does not resolve",
                   {{"name", host}, {"in_use", textOf(name.addresses)}, {"reason", resolution.error}});
    return;
  }
  if (name.addresses == resolution.addresses) {
    if (failed) log::info("resolve", "a name resolves again", {{"name", host}, {"now", textOf(name.addresses)}});
    return;
  }
  log::info("resolve", "a name has new addresses",
            {{"name", host}, {"before", textOf(name.addresses)}, {"now", textOf(resolution.addresses)}});
  name.addresses = resolution.addresses;
  rebuild();
}

}  // namespace lemonade::app
