// SPDX-License-Identifier: MIT
#include "config/effective.h"

#include "config/keys.h"

namespace lemonade::config {

std::vector<EffectiveKey> effective(const Config& config) {
  std::vector<EffectiveKey> all;
  for (const auto& key : processKeys()) all.push_back({key.path(), key.show(config)});
  for (const auto& listener : config.listeners)
    for (const auto& key : listenerKeys()) all.push_back({pathIn(listener, key), key.show(listener)});
  for (const auto& pool : config.pools) {
    for (const auto& key : poolKeys()) all.push_back({pathIn(pool, key), key.show(pool)});
    for (const auto& backend : pool.backends)
      for (const auto& key : backendKeys())
        all.push_back({pathOf(pool) + "backends." + backend.id + "." + key.name, key.show(backend)});
  }
  return all;
}

}  // namespace lemonade::config
