// SPDX-License-Identifier: MIT
//
// A scenario that somebody wrote down: TOML with the backends' speeds, the load and what happens when. Errors name
// file, line and mend, as those of a configuration do. Stateless; any thread.
#pragma once

#include "config/config.h"
#include "config/finding.h"
#include "simulation/scenario.h"
#include "simulation/scenario_keys.h"

#include <string>
#include <string_view>
#include <vector>

namespace lemonade::sim {

/// Of the backends of a scenario that names none, and of a configuration that has none.
inline constexpr std::uint32_t kUsualBackends = 8;

/// A scenario with the names of its servers.
struct NamedScenario {
  Scenario scenario;
  std::vector<std::string> names;  ///< of the servers, in their order
  std::vector<config::Finding> findings;

  bool ok() const noexcept { return !config::hasErrors(findings); }
};

/// Backends of a configuration at the usual speed.
std::vector<WrittenBackend> backendsOf(const std::vector<config::Backend>& configured);

/// Reads a file. Where it has no backends, it is played with `backends`, and where those are none, with eight alike.
NamedScenario readScenario(std::string_view text, const std::string& filename, std::vector<WrittenBackend> backends);

}  // namespace lemonade::sim
