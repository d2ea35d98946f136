// SPDX-License-Identifier: MIT
//
// Pools of a configuration that is to be taken over, in tests of reloads.
#pragma once

#include "app/preparation.h"
#include "base/control_loop.h"
#include "support/plugin.h"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

namespace lemonade::app {

/// Adds a pool whose one backend has its name and is not checked; where it does not run yet, with a strategy.
inline void addPool(Preparation& preparation, const std::string& name, bool runs, ControlLoop& loop,
                    plugin::Loader& loader) {
  auto& pool = preparation.config.pools.emplace_back();
  pool.name = name;
  pool.strategy.id = "round_robin";
  pool.health.checker.id = config::Health::kNone;
  auto& backend = pool.backends.emplace_back();
  backend.id = backend.name = name;
  backend.host = "127.0.0.1";
  backend.port = 80;
  preparation.resolutions[backend.host] = {
      Resolution::Outcome::kFound, {{"", 0, 0, 0, {*Address::parse("127.0.0.1", 0)}, {}}}, {}, {}};
  if (runs) return;
  std::vector<plugin::OptionProblem> problems;
  loop.run([&] {
    auto made = test::create<lemonade_strategy_t>(loader, pool.strategy, problems);
    REQUIRE(made);
    preparation.pools[name].strategy.emplace(std::move(*made));
  });
}

}  // namespace lemonade::app
