// SPDX-License-Identifier: MIT
//
// Instances of plugins, by the id that a configuration would choose them with.
#pragma once

#include "plugin/loader.h"

#include <optional>
#include <vector>

namespace lemonade::test {

/// Reads the file of the chosen plugin as it is now and makes an instance of it; nothing and a problem more where that
/// fails.
template <class Table>
std::optional<plugin::Instance<Table>> create(plugin::Loader& loader, const config::PluginChoice& choice,
                                              std::vector<plugin::OptionProblem>& problems) {
  const auto file = loader.read(choice, plugin::kKindOf<Table>);
  if (file) return loader.create<Table>(file.value(), choice, problems);
  problems.push_back({choice.source, file.error().message});
  return std::nullopt;
}

}  // namespace lemonade::test
