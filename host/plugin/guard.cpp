// SPDX-License-Identifier: MIT
#include "plugin/guard.h"

#include <deque>
#include <mutex>
#include <set>
#include <utility>

namespace lemonade::plugin {

Guard& Guard::make(InstanceInfo info, const void* in_image) {
  static std::mutex mutex;
  static auto& guards = *new std::deque<std::unique_ptr<Guard>>();  // never destroyed, as documented
  const std::lock_guard lock(mutex);
  return *guards.emplace_back(std::make_unique<Guard>(std::move(info), in_image));
}

void keepForEver(std::shared_ptr<const void> what) {
  static std::mutex mutex;
  static auto& kept = *new std::set<std::shared_ptr<const void>>;
  const std::lock_guard lock(mutex);
  kept.insert(std::move(what));
}

}  // namespace lemonade::plugin
