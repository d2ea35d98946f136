// SPDX-License-Identifier: MIT
//
// What to write instead of text that is no TOML: the parser says what it expected, an operator wants to know the mend.
// Stateless; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lemonade::config {

/// An error message for the place at which the parser stopped, from its own description.
std::string syntaxError(std::string_view text, std::uint32_t line, std::uint32_t column, std::string_view description);

}  // namespace lemonade::config
