// SPDX-License-Identifier: MIT
//
// What the tests of reloads share: changing the file of a running balancer, asking for a reload, and reading what runs.
#pragma once

#include "support/balancer.h"

#include <Poco/JSON/Array.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace lemonade::test {

/// A configuration whose file is looked at every 50 ms.
inline Config watched() { return Config().set("runtime.config_watch_interval_millis", 50); }

/// A configuration whose file nobody looks at before the test asks for a reload.
inline Config unwatched() { return Config().set("runtime.config_watch_interval_millis", 3'600'000); }

/// Replaces the balancer's file by writing over it.
inline void write(Balancer& balancer, const Config& config) { balancer.folder().write("lemonade.toml", config.text()); }

inline HttpAnswer requestReload(Balancer& balancer) {
  return httpGet(balancer.adminAddress(), "/api/v1/reload", "POST");
}

/// Writes the file and has it reloaded; throws where that is refused. The lines of the answer say what changed.
inline std::string reload(Balancer& balancer, const Config& config) {
  write(balancer, config);
  const auto answer = requestReload(balancer);
  if (answer.status != 200) throw std::runtime_error("the reload was refused: " + answer.body);
  return answer.body;
}

/// How many configurations took effect.
inline int generation(Balancer& balancer) { return balancer.status()->getValue<int>("config_generation"); }

/// The strategy in the status: id, version, generation.
inline Poco::JSON::Object::Ptr strategy(Balancer& balancer) {
  const auto plugins = balancer.status()->getArray("plugins");
  for (unsigned i = 0; i < plugins->size(); ++i)
    if (plugins->getObject(i)->getValue<std::string>("kind") == "strategy") return plugins->getObject(i);
  throw std::out_of_range("the status has no strategy");
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace lemonade::test
