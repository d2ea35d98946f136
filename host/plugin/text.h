// SPDX-License-Identifier: MIT
//
// Text of the plugin ABI as a string_view.
#pragma once

#include <lemonade/plugin.h>

#include <string_view>

namespace lemonade::plugin {

/// Borrows what the text does.
inline std::string_view view(lemonade_str_t text) noexcept { return {text.data, static_cast<std::size_t>(text.size)}; }

}  // namespace lemonade::plugin
