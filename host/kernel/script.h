// SPDX-License-Identifier: MIT
//
// The nft commands that make a table hold what it is to: all of it, or only what differs from before. Nothing here
// talks to the kernel. Any thread.
#pragma once

#include "kernel/rules.h"

#include <set>
#include <string>

namespace lemonade::kernel {

/// What a table holds besides elements and rules, by name.
struct Outline {
  std::set<std::string> chains{};
  std::set<std::string> sets{};
  std::set<std::string> maps{};
  std::set<std::string> idle_timeouts{};
};

/// The commands, one transaction, that make the table hold exactly that. existing is what there is: chains and sets
/// that stay are emptied and filled, never deleted, so that packets that wait in the queue stay there. The rule that
/// queues stays where the contents have none.
std::string wholeScript(const std::string& table, const Contents& contents, const Outline& existing);

/// The commands, one transaction, that lead from the one to the other and touch nothing else; "" where both are equal.
std::string differenceScript(const std::string& table, const Contents& from, const Contents& to);

/// Whether an outline is that of a table of this kind, of whatever version; so is an empty one.
bool isOurs(const Outline& outline);

}  // namespace lemonade::kernel
