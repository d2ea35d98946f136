// SPDX-License-Identifier: MIT
//
// What there is in the kernel, read from the JSON that libnftables lists it with. Any thread.
#pragma once

#include "base/result.h"
#include "kernel/rules.h"
#include "kernel/script.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::kernel {

/// A table as `list table` shows it.
struct Listing {
  Outline outline{};
  std::optional<std::uint16_t> tag{};  ///< nothing where no rule and no backend has one
  std::vector<TablePlan::Backend> backends{};
  std::vector<Address> entrances{};  ///< that lead to a listener's chain, in no order; ports alone as 0.0.0.0 or [::]
};

/// An error where that is no listing. What it does not know in there it passes over.
Result<Listing> readTable(std::string_view json);

/// Whether a table of that name is in what `list tables inet` shows.
Result<bool> hasTable(std::string_view json, std::string_view name);

/// A chain that sees what the machine forwards, and drops what none of its rules accepts.
struct DroppingChain {
  std::string family;
  std::string table;
  std::string name;
};
/// Those in what `list chains` shows.
Result<std::vector<DroppingChain>> readDroppingChains(std::string_view json);

}  // namespace lemonade::kernel
