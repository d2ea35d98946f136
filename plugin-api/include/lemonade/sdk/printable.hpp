// SPDX-License-Identifier: MIT
//
// Bytes of a stranger as text that is fit for a log line or a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lemonade::sdk {

/// bytes between quotes, at most `longest` of them, with \r \n \t \" \\ and \xHH for what is not printable ASCII; cut
/// text ends with "..." behind the quote. May throw std::bad_alloc. [any]
inline std::string quoted(std::string_view bytes, std::size_t longest = 40) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text = "\"";
  for (const char c : bytes.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\r')
      text += "\\r";
    else if (c == '\n')
      text += "\\n";
    else if (c == '\t')
      text += "\\t";
    else if (c == '"' || c == '\\')
      (text += '\\') += c;
    else if (byte < 0x20 || byte > 0x7e)
      ((text += "\\x") += kHex[byte >> 4]) += kHex[byte & 15];
    else
      text += c;
  }
  text += '"';
  return bytes.size() > longest ? text + "..." : text;
}

}  // namespace lemonade::sdk
