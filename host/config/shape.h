// SPDX-License-Identifier: MIT
//
// Whether a text has the shape of a configuration at all, told before it is parsed: the parser and whatever walks over
// its tree call themselves once for each level and keep a node for each value, so that a text of some megabytes could
// cost the stack or hundreds of megabytes. Stateless; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lemonade::config {

/// Where a text is more than a configuration can be, from 1, and what to do.
struct Excess {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  std::string text;
};

/// The first place with more than 32 parts in a key, lists and tables more than 32 deep or the 250,001st value; nothing
/// where there is none, or where a parser stops before it.
std::optional<Excess> excessOf(std::string_view text);

}  // namespace lemonade::config
