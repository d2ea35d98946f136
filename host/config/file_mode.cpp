// SPDX-License-Identifier: MIT
#include "config/file_mode.h"

#include <charconv>
#include <system_error>

namespace lemonade::config {

std::optional<std::uint32_t> parseFileMode(std::string_view digits) {
  std::uint32_t mode = 0;
  const auto* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, mode, 8);
  return read.ec == std::errc() && read.ptr == end && mode <= 0777 ? std::optional(mode) : std::nullopt;
}

std::string fileModeText(std::uint32_t mode) {
  std::string digits = "0000";
  for (std::size_t i = 0; i < 4; ++i, mode /= 8) digits[3 - i] = static_cast<char>('0' + mode % 8);
  return digits;
}

}  // namespace lemonade::config
