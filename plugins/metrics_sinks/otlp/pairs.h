// SPDX-License-Identifier: MIT
//
// Lists of names with values in one text, as OpenTelemetry writes them in its environment variables:
// "name=value,name=value", values with %HH for what would end them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lemonade::otlp {

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// The pairs in their order, without the spaces around names and values; none of an empty text. Throws
/// std::invalid_argument, which says what is wrong with which pair and shows no value, as it may be a secret.
Pairs parsePairs(std::string_view text);

}  // namespace lemonade::otlp
