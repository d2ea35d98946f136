// SPDX-License-Identifier: MIT
#include "app/membership.h"

#include "base/log.h"
#include "base/nanoseconds.h"
#include "config/host_port.h"

#include <algorithm>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
constexpr Duration kNeverResolvedInterval = 1s;
constexpr Duration kAnswerLost = 60s;  // such as for want of memory; a lookup takes far less

bool isNumeric(const std::string& host) { return Address::parse(host, 0).has_value(); }

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
  const auto now = loop_.clock().nowNs();
  auto before = std::exchange(names_, {});
  for (const auto& backend : configured_) {
    if (auto known = before.extract(backend.host); !known.empty())
      names_.insert(std::move(known)).position->second.due_ns = now;
    const auto [entry, is_new] = names_.try_emplace(backend.host);
    const auto found = resolutions.find(backend.host);
    if (found == resolutions.end() || !is_new) continue;
    auto& name = entry->second;
    name.targets = updated({}, found->second.targets);
    name.due_ns = now + intervalOf(name);
    // The operator has been told by who prepared this.
    name.failing = !found->second.ok();
    name.left_out = !found->second.left_out.empty();
  }
  rebuild();
  askDue();
}

KnownNames Membership::names() const {
  KnownNames known;
  for (const auto& [host, name] : names_) known.emplace(host, name.targets);
  return known;
}

// Hundreds of names may be answered in one turn of the loop.
void Membership::rebuildSoon() {
  if (std::exchange(rebuilding_, true)) return;
  loop_.post([self = self_] {
    if (*self == nullptr || !std::exchange((*self)->rebuilding_, false)) return;
    (*self)->rebuild();
  });
}

void Membership::rebuild() {
  rebuilding_ = false;
  std::map<Key, std::shared_ptr<Backend>> known;
  const auto keyOf = [](const Backend& backend) { return Key(backend.identity(), backend.resolved()); };
  std::erase_if(left_, [](const auto& backend) { return backend.expired(); });
  for (const auto& weak : left_)
    if (auto backend = weak.lock(); backend != nullptr) known.emplace(keyOf(*backend), std::move(backend));
  for (const auto& backend : backends_) known.insert_or_assign(keyOf(*backend), backend);

  View::Backends backends;
  for (const auto& configured : configured_)
    for (const auto& endpoint : endpoints(configured, names_.at(configured.host).targets))
      append(backends, known, endpoint);
  for (const auto& backend : backends) known.erase(keyOf(*backend));
  left_.clear();
  for (const auto& [key, backend] : known) left_.push_back(backend);
  backends_ = std::move(backends);
  on_change_(backends_);
}

void Membership::append(View::Backends& backends, const std::map<Key, std::shared_ptr<Backend>>& known,
                        const Endpoint& endpoint) const {
  const auto& settings = endpoint.configured;
  const bool resolved = endpoint.address.family() != AF_UNSPEC;
  if (const auto old = known.find({Backend::identityOf(settings, endpoint.address, pool_.name()), resolved});
      old != known.end()) {
    old->second->apply(settings);
    backends.push_back(old->second);
    return;
  }
  backends.push_back(std::make_shared<Backend>(settings, endpoint.address, pool_.workers(), pool_.name()));
  if (!resolved) (void)backends.back()->setHealth(false, "name does not resolve");
}

std::uint64_t Membership::intervalOf(const Name& name) const {
  const bool nowhere = name.targets.empty() || std::any_of(name.targets.begin(), name.targets.end(),
                                                           [](const auto& t) { return t.addresses.empty(); });
  return ns(nowhere ? std::min(resolve_interval_, kNeverResolvedInterval) : resolve_interval_);
}

void Membership::askDue() {
  const auto now = loop_.clock().nowNs();
  std::uint64_t next = 0;
  for (auto& [host, name] : names_) {
    if (isNumeric(host)) continue;
    if (name.due_ns <= now) {
      name.asked_ns = now;
      name.due_ns = now + ns(kAnswerLost);
      resolver_.resolve(host, [self = self_, host = host](const Resolution& resolution) {
        if (*self != nullptr) (*self)->answered(host, resolution);
      });
    }
    next = next == 0 ? name.due_ns : std::min(next, name.due_ns);
  }
  wakeAt(next);
}

void Membership::wakeAt(std::uint64_t due_ns) {
  if (due_ns == 0 || (timer_ != 0 && timer_due_ns_ <= due_ns)) return;
  loop_.cancel(timer_);
  const auto now = loop_.clock().nowNs();
  timer_due_ns_ = due_ns;
  timer_ = loop_.after(Duration(static_cast<Duration::rep>(due_ns > now ? due_ns - now : 0)), [this] {
    timer_ = 0;
    askDue();
  });
}

void Membership::answered(const std::string& host, const Resolution& resolution) {
  const auto found = names_.find(host);
  if (found == names_.end()) return;  // no longer configured
  auto& name = found->second;
  const bool changed = resolution.ok() ? learn(host, name, resolution) : fail(host, name, resolution.error);
  name.due_ns = name.asked_ns + intervalOf(name);
  wakeAt(name.due_ns);
  if (changed) rebuildSoon();
}

// Addresses that were good stay in use, also when the name has gone: a name server in trouble must not take backends
// away that still answer.
bool Membership::fail(const std::string& host, Name& name, const std::string& why) {
  if (!std::exchange(name.failing, true))
    log::warning("resolve", "a name does not resolve",
                 {{"name", host}, {"in_use", textOf(name.targets)}, {"reason", why}});
  return false;
}

bool Membership::learn(const std::string& host, Name& name, const Resolution& resolution) {
  const bool failed = std::exchange(name.failing, false);
  auto targets = updated(name.targets, resolution.targets);
  const bool changed = name.targets != targets;
  if (changed)
    log::info("resolve", config::isService(host) ? "a service has new records" : "a name has new addresses",
              {{"name", host}, {"before", textOf(name.targets)}, {"now", textOf(targets)}});
  else if (failed)
    log::info("resolve", "a name resolves again", {{"name", host}, {"now", textOf(name.targets)}});
  name.targets = std::move(targets);
  const bool left_out = !resolution.left_out.empty();
  if (!std::exchange(name.left_out, left_out) && left_out)
    log::warning("resolve", "not all that a name leads to is used",
                 {{"name", host}, {"left_out", resolution.left_out}});
  return changed;
}

}  // namespace lemonade::app
