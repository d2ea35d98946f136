// SPDX-License-Identifier: MIT
//
// Which known word somebody who mistyped may have meant. Stateless; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lemonade::config {

/// "did you mean X?" where a known word is close to the one given (Levenshtein distance of up to a third of its length,
/// at least 2), otherwise "known are A, B, C". The text ends an error message.
std::string suggestion(std::string_view given, std::span<const std::string> known);

}  // namespace lemonade::config
