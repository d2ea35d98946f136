// SPDX-License-Identifier: MIT
#include "app/shadowing.h"

#include "balance/pool.h"
#include "base/clock.h"
#include "base/log.h"

#include <utility>

namespace lemonade::app {

Result<std::shared_ptr<Strategy>> Shadowing::make(std::optional<Strategy::Instance> prepared) {
  if (!prepared) return pool_.shadow();
  auto made = Strategy::make(std::move(*prepared), pool_.workers());
  if (!made) return made;
  const auto& before = pool_.shadow() != nullptr ? pool_.shadow() : pool_.strategy();
  if (before == nullptr) return made;
  if (auto taken = made.value()->takeOver(*before); !taken) return std::move(taken).error();
  return made;
}

void Shadowing::use(std::shared_ptr<Strategy> shadow, bool configured) {
  if (shadow != nullptr || !configured) lost_hash_.clear();
  pool_.setShadow(std::move(shadow));
}

bool Shadowing::drop(const plugin::InstanceInfo& broken) {
  const auto* shadow = running();
  if (shadow == nullptr) return false;
  const auto info = shadow->info();
  const bool same = !broken.hash.empty() && info.hash == broken.hash;
  if (!same && info.number != broken.number) return false;
  log::warning("app", "a pool goes on without its shadow, which is quarantined",
               {{"plugin", info.id}, {"version", info.version}, {"pool", pool_.name()}});
  lost_hash_ = info.hash;
  pool_.setShadow(nullptr);
  return true;
}

void Shadowing::begin() {
  const auto* shadow = running();
  const auto* strategy = pool_.strategy().get();
  if (shadow != nullptr && strategy != nullptr && comparison_ != nullptr &&
      comparison_->isOf(strategy->info(), shadow->info()))
    return;
  auto next = shadow == nullptr || strategy == nullptr
                  ? nullptr
                  : std::make_shared<Comparison>(pool_, strategy->info(), shadow->info(), unixNs());
  const std::lock_guard lock(mutex_);
  comparison_ = std::move(next);
}

void Shadowing::look() {
  if (comparison_ != nullptr) comparison_->look();
}

void Shadowing::end() {
  const std::lock_guard lock(mutex_);
  comparison_.reset();
}

const Strategy* Shadowing::running() const noexcept { return pool_.shadow().get(); }

std::optional<ShadowStatus> Shadowing::status() const {
  std::shared_ptr<Comparison> comparison;
  {
    const std::lock_guard lock(mutex_);
    comparison = comparison_;
  }
  return comparison == nullptr ? std::nullopt : std::optional(comparison->status());
}

}  // namespace lemonade::app
