// SPDX-License-Identifier: MIT
//
// Text of the plugin ABI and std::string_view: each borrows the bytes that the other one does. Any thread.
#pragma once

#include <lemonade/plugin.h>

#include <string_view>

namespace lemonade::plugin {

inline std::string_view view(lemonade_str_t text) noexcept { return {text.data, static_cast<std::size_t>(text.size)}; }
inline lemonade_str_t str(std::string_view text) noexcept { return {text.data(), text.size()}; }

}  // namespace lemonade::plugin
