// SPDX-License-Identifier: MIT
//
// The HTTP status codes that count as alive, written as "200-299,301". A plain value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

class Statuses {
 public:
  /// Codes and ranges of codes from 100 to 599, separated by commas; blanks do not count. Nothing where text is none.
  static std::optional<Statuses> parse(std::string_view text);

  bool contain(unsigned status) const noexcept;
  /// As they were written, without blanks.
  const std::string& text() const noexcept { return text_; }

 private:
  std::vector<std::pair<unsigned, unsigned>> ranges_;  // first and last
  std::string text_;
};
