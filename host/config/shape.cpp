// SPDX-License-Identifier: MIT
#include "config/shape.h"

#include <algorithm>

namespace lemonade::config {
namespace {

constexpr std::uint32_t kMostParts = 32;
constexpr std::uint32_t kMostDepth = 32;
constexpr std::uint32_t kMostValues = 250'000;

/// Reads TOML as far as dots, brackets, strings and comments go.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<Excess> run() {
    while (at_ < text_.size()) {
      switch (text_[at_]) {
        case '#':
          at_ = std::min(text_.find('\n', at_), text_.size());
          continue;
        case '"':
        case '\'':
          if (!skipString(text_[at_])) return std::nullopt;
          continue;
        case '.':
          if (++parts_ > kMostParts) return excess("a key has more than 32 parts; quote a key that has dots in it");
          break;
        case '[':
        case '{':
          if (++depth_ > kMostDepth) return excess("lists and tables are more than 32 deep; no key takes that");
          if (!count()) return tooMany();
          break;
        case ']':
        case '}':
          if (depth_ > 0) --depth_;
          parts_ = 1;
          break;
        case '=':
        case ',':
          if (!count()) return tooMany();
          break;
        case '\n':
          parts_ = 1;
          line_start_ = at_ + 1;
          ++line_;
          break;
        default:
          break;
      }
      ++at_;
    }
    return std::nullopt;
  }

 private:
  Excess excess(const char* text) const { return {line_, static_cast<std::uint32_t>(at_ - line_start_ + 1), text}; }
  Excess tooMany() const { return excess("more than 250000 values; give a configuration file"); }

  bool count() {
    parts_ = 1;
    return ++values_ <= kMostValues;
  }

  /// False where the string has no end, at which a parser stops.
  bool skipString(char quote) {
    const std::string long_quote(3, quote);
    const bool is_long = text_.substr(at_, 3) == long_quote;
    at_ += is_long ? 3 : 1;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"') {
        ++at_;
        if (at_ >= text_.size() || text_[at_] != '\n') continue;
      }
      if (text_[at_] == '\n') {
        if (!is_long) return false;
        line_start_ = at_ + 1;
        ++line_;
      } else if (c == quote && (!is_long || text_.substr(at_, 3) == long_quote)) {
        at_ += is_long ? 3 : 1;
        // A long string may end in two quotes of its own.
        for (int i = 0; is_long && i < 2 && at_ < text_.size() && text_[at_] == quote; ++i) ++at_;
        return true;
      }
    }
    return false;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
  std::uint32_t parts_ = 1;  // of the key that is being read
  std::uint32_t depth_ = 0;
  std::uint32_t values_ = 0;
};

}  // namespace

std::optional<Excess> excessOf(std::string_view text) { return Scanner(text).run(); }

}  // namespace lemonade::config
