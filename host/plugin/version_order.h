// SPDX-License-Identifier: MIT
//
// Which of two versions of a plugin is the higher one: the order of semantic versions. Any thread.
#pragma once

#include <compare>
#include <string_view>

namespace lemonade::plugin {

/// The order of Semantic Versioning 2.0.0: numbers before text, 1.10.0 above 1.9.0, 1.0.0 above 1.0.0-rc.1; what
/// follows a '+' does not count. A text that is no semantic version is below all that are, and two such are equal.
std::weak_ordering compareVersions(std::string_view a, std::string_view b);

}  // namespace lemonade::plugin
