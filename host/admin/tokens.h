// SPDX-License-Identifier: MIT
//
// The tokens of those who may change something from elsewhere, as a file lists them: one a line, "TOKEN" or
// "NAME: TOKEN", where the name is what the log calls who used it. Empty lines and lines that begin with '#' say
// nothing.
//
// Immutable; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::admin {

class Tokens {
 public:
  static constexpr std::size_t kShortest = 16;     ///< characters; less can be guessed
  static constexpr std::size_t kLongest = 1'024;   ///< characters
  static constexpr std::size_t kMostTokens = 100;  ///< every one of them is compared with what a client sends

  /// What is wrong with a line, which is passed over.
  struct Problem {
    std::size_t line = 0;  ///< from 1
    std::string text;      ///< without the token
  };

  Tokens() = default;
  static Tokens parse(std::string_view text, std::vector<Problem>& problems);

  bool empty() const noexcept { return tokens_.empty(); }
  /// Who has that token: its name, or "line 3" where it has none; nothing where nobody has. Takes as long for a token
  /// that is nearly right as for one that is all wrong.
  std::optional<std::string> ownerOf(std::string_view token) const;

  bool operator==(const Tokens&) const = default;

 private:
  struct Token {
    std::string owner;
    std::string secret;
    bool operator==(const Token&) const = default;
  };
  std::vector<Token> tokens_;
};

}  // namespace lemonade::admin
