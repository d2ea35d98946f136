// SPDX-License-Identifier: MIT
//
// The mode of a file as people write it: octal digits. Stateless; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lemonade::config {

/// Of "0660" or "660"; nothing for what is no mode from 0 to 0777.
std::optional<std::uint32_t> parseFileMode(std::string_view digits);

/// "0660".
std::string fileModeText(std::uint32_t mode);

}  // namespace lemonade::config
