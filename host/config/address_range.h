// SPDX-License-Identifier: MIT
//
// Many addresses in one text: "10.0.1.[10-19]:8080" are ten. Stateless; any thread.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace lemonade::config {

/// The most addresses that one text stands for.
inline constexpr std::size_t kMostAddresses = 4'096;

/// The texts that come of a text with ranges such as "[10-19]", each of which counts up in decimal and keeps the zeros
/// at the beginning of its first number; the last range counts fastest. A text without a range comes out as it is: the
/// brackets of an IPv6 address are none. The error says what to write instead, and does not repeat the text.
Result<std::vector<std::string>> expandRanges(std::string_view text);

}  // namespace lemonade::config
