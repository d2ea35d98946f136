// SPDX-License-Identifier: MIT
//
// The document that the page is made of: page.html with style.css and the scripts in it. Made by CMake from those
// files.
#pragma once

#include <string_view>

namespace lemonade::dashboard {

/// With {{nonce}} wherever a nonce belongs. Constant.
std::string_view document() noexcept;

}  // namespace lemonade::dashboard
