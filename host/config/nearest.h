// SPDX-License-Identifier: MIT
//
// Suggests what a misspelt word was meant to be.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lemonade::config {

/// The candidate with the smallest edit distance to word, "" where none is near enough to be a misspelling.
std::string nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace lemonade::config
