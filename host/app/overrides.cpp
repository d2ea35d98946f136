// SPDX-License-Identifier: MIT
#include "app/overrides.h"

#include "base/clock.h"
#include "base/nanoseconds.h"

#include <iterator>
#include <utility>

namespace lemonade::app {

Overrides::Overrides(ControlLoop& loop, std::string pool, OnEnd on_end, std::function<void()> over)
    : loop_(loop), pool_(std::move(pool)), on_end_(std::move(on_end)), over_(std::move(over)) {}

void Overrides::stop() {
  for (auto& [identity, held] : held_)
    for (const auto& one : held.ones) loop_.cancel(one.timer);
  held_.clear();
}

Override Overrides::make(const std::shared_ptr<Backend>& backend, Override wanted, Duration lasting) {
  wanted.since_unix_ns = unixNs();
  wanted.until_unix_ns = lasting == Duration::zero() ? 0 : wanted.since_unix_ns + ns(lasting);
  auto& held = held_[backend->identity()];
  held.id = backend->id();
  held.address = backend->addressText();
  held.backend = backend;
  std::erase_if(held.ones, [&](const One& one) {
    const bool replaced = replaces(wanted.action, one.made.action);
    if (replaced) loop_.cancel(one.timer);
    return replaced;
  });
  const std::uint64_t until_ns = lasting == Duration::zero() ? 0 : loop_.clock().nowNs() + ns(lasting);
  auto& one = held.ones.emplace_back(One{wanted, until_ns, 0});
  startTimer(one);
  show(held);
  return wanted;
}

std::size_t Overrides::takeBack(const Backend& backend) {
  return end(EndedOverride::Why::kTakenBack,
             [&](std::uint64_t identity, const Held&, const One&) { return identity == backend.identity(); });
}

void Overrides::endWithReload() {
  (void)end(EndedOverride::Why::kReload, [](std::uint64_t, const Held&, const One& one) { return one.until_ns == 0; });
}

void Overrides::keepOnly(const std::set<std::string>& ids) {
  (void)end(EndedOverride::Why::kGone,
            [&](std::uint64_t, const Held& held, const One&) { return !ids.contains(held.id); });
}

void Overrides::apply(const View::Backends& backends) {
  if (held_.empty()) return;
  for (const auto& backend : backends) {
    const auto found = held_.find(backend->identity());
    if (found == held_.end() || found->second.backend.lock() == backend) continue;
    found->second.backend = backend;
    show(found->second);
  }
}

void Overrides::inherit(const std::vector<OverrideState>& states) {
  const std::uint64_t now = loop_.clock().nowNs();
  for (const auto& state : states) {
    const bool known = state.action < kOverrideActions.size();
    if (!known || state.pool != pool_ || (state.until_ns != 0 && state.until_ns <= now)) continue;
    auto& held = held_[state.identity];
    held.id = state.backend;
    held.address = state.address;
    auto& one = held.ones.emplace_back(One{
        {static_cast<Override::Action>(state.action), state.value, state.since_unix_ns, state.until_unix_ns, state.by},
        state.until_ns,
        0});
    startTimer(one);
  }
}

void Overrides::tell(std::vector<OverrideState>& states) const {
  for (const auto& [identity, held] : held_)
    for (const auto& one : held.ones)
      states.push_back({pool_, held.id, held.address, identity, static_cast<std::uint32_t>(one.made.action),
                        one.made.value, one.made.since_unix_ns, one.made.until_unix_ns, one.until_ns, one.made.by});
}

void Overrides::startTimer(One& one) {
  if (one.until_ns == 0) return;
  const std::uint64_t now = loop_.clock().nowNs();
  one.timer = loop_.after(Duration(static_cast<Duration::rep>(one.until_ns > now ? one.until_ns - now : 0)),
                          [this] { endOver(); });
}

// A timer may be late, but not early: what it was for is among those whose time has passed.
void Overrides::endOver() {
  const std::uint64_t now = loop_.clock().nowNs();
  const auto ended = end(EndedOverride::Why::kOver, [now](std::uint64_t, const Held&, const One& one) {
    return one.until_ns != 0 && one.until_ns <= now;
  });
  if (ended != 0) over_();
}

/// Ends those that which(identity, held, one) says.
template <class Which>
std::size_t Overrides::end(EndedOverride::Why why, Which which) {
  std::vector<EndedOverride> ended;
  for (auto entry = held_.begin(); entry != held_.end();) {
    const std::uint64_t identity = entry->first;
    Held& held = entry->second;
    const std::size_t before = ended.size();
    std::erase_if(held.ones, [&](const One& one) {
      if (!which(identity, held, one)) return false;
      loop_.cancel(one.timer);
      ended.push_back({pool_, held.id, held.address, one.made, why});
      return true;
    });
    if (ended.size() != before) show(held);
    entry = held.ones.empty() ? held_.erase(entry) : std::next(entry);
  }
  for (const auto& one : ended) on_end_(one);
  return ended.size();
}

void Overrides::show(const Held& held) {
  const auto backend = held.backend.lock();
  if (backend == nullptr) return;
  std::vector<Override> made;
  for (const auto& one : held.ones) made.push_back(one.made);
  backend->setOverrides(std::move(made));
}

}  // namespace lemonade::app
