// SPDX-License-Identifier: MIT
#include "config/config.h"

namespace lemonade::config {

std::string Source::text() const {
  if (line == 0) return file;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

Config defaultConfig() {
  const Source source{"default", 0, 0};
  Config config;
  config.listeners.front().addresses = {{"0.0.0.0:8080", source}};
  config.pools.front().strategy = {"adaptive", source, {}};
  config.pools.front().health.checker = {"tcp", source, {}};
  config.metrics.sinks = {{"prometheus", source, {}}};
  config.admin = Listen{"127.0.0.1:9090", source};
  return config;
}

}  // namespace lemonade::config
