// SPDX-License-Identifier: MIT
//
// An instance of a plugin whose code is not loaded, because a process before this one died of it. It is broken from the
// start, so whoever has it does as if a call had just been broken off.
#pragma once

#include "plugin/instance.h"

#include <utility>

namespace lemonade::plugin {

/// info says whose place it takes. Control thread.
template <class Table>
Instance<Table> makeInert(InstanceInfo info) {
  static constexpr Table kTable = [] {
    Table table{};
    table.struct_size = sizeof(Table);
    return table;
  }();
  auto& guard = Guard::make(std::move(info), nullptr);
  guard.breakFor(FaultKind::kDeath);
  return Instance<Table>(kTable, nullptr, guard, nullptr);
}

}  // namespace lemonade::plugin
