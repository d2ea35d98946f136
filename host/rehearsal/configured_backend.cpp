// SPDX-License-Identifier: MIT
#include "rehearsal/configured_backend.h"

namespace lemonade {

BackendSettings settingsOf(const config::Backend& configured) {
  const auto& [id, name, host, port, weight, max_connections, priority, enabled, zone, labels, options, source,
               address_source] = configured;
  BackendSettings settings;
  settings.id = id;
  settings.name = name;
  settings.host = host;
  settings.weight = weight;
  settings.max_connections = max_connections;
  settings.enabled = enabled;
  settings.priority = priority;
  settings.zone = zone;
  settings.labels = labels;
  settings.options = options;
  return settings;
}

}  // namespace lemonade
