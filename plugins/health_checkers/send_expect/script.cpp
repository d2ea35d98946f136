// SPDX-License-Identifier: MIT
#include "script.h"

#include <lemonade/sdk/plugin.hpp>

#include <utility>

namespace {

constexpr std::size_t kMaxSend = 64 * 1024;  // of one verdict
constexpr std::size_t kMaxText = 4 * 1024;   // that is looked for

/// One line, read from left to right.
class Line {
 public:
  Line(std::string_view text, std::size_t number) : rest_(text), number_(number) { skipBlanks(); }

  /// True where nothing but a comment is left.
  bool ended() const noexcept { return rest_.empty() || rest_[0] == '#'; }

  std::string_view word() {
    const auto size = std::min(rest_.find_first_of(" \t\""), rest_.size());
    const auto word = rest_.substr(0, size);
    advance(size);
    return word;
  }

  /// A text between quotes, its escapes resolved; never empty.
  std::string text() {
    if (rest_.empty() || rest_[0] != '"') refuse("give a text between quotes, such as \"PING\\r\\n\"");
    rest_.remove_prefix(1);
    std::string text;
    while (true) {
      if (rest_.empty())
        refuse(
            "the text has no end: close it with a quote, and put the script between ''' so that TOML leaves \\n alone");
      const char c = take();
      if (c == '"') break;
      text += c == '\\' ? escaped() : c;
    }
    if (text.empty()) refuse("the text is empty: give at least one byte");
    skipBlanks();
    return text;
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw lemonade::sdk::OptionError("script", "line " + std::to_string(number_) + ": " + what);
  }

 private:
  void advance(std::size_t size) {
    rest_.remove_prefix(size);
    skipBlanks();
  }
  void skipBlanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r"), rest_.size())); }
  char take() {
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  char escaped() {
    const char c = rest_.empty() ? '\0' : take();
    switch (c) {
      case 'r':
        return '\r';
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case '0':
        return '\0';
      case '\\':
        return '\\';
      case '"':
        return '"';
      case 'x': {
        const int high = digit();
        return static_cast<char>(high * 16 + digit());
      }
      default:
        refuse("the escapes are \\r \\n \\t \\0 \\\\ \\\" and \\xHH with two hexadecimal digits");
    }
  }
  int digit() {
    const char c = rest_.empty() ? '\0' : take();
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    refuse("\\x takes two hexadecimal digits, such as \\x0d");
  }

  std::string_view rest_;
  const std::size_t number_;
};

std::vector<std::string> alternatives(Line& line) {
  std::vector<std::string> texts;
  while (true) {
    texts.push_back(line.text());
    if (texts.back().size() > kMaxText) line.refuse("the text is longer than 4 KiB");
    if (line.ended()) return texts;
    if (line.word() != "or") line.refuse("several texts are separated by the word or: expect \"a\" or \"b\"");
  }
}

}  // namespace

Script Script::parse(std::string_view text) {
  Script script;
  Step step;
  std::size_t number = 0;
  std::size_t open_line = 0;  // of the last line that no expect follows yet
  while (!text.empty()) {
    const auto end = text.find('\n');
    Line line(text.substr(0, end), ++number);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (line.ended()) continue;
    const auto word = line.word();
    open_line = number;
    if (word == "send") {
      step.send += line.text();
      if (!line.ended()) line.refuse("a send has one text: begin a new line for the next step");
      if (step.send.size() > kMaxSend) line.refuse("the script sends more than 64 KiB at once: put an expect between");
    } else if (word == "expect_not") {
      for (auto& refused : alternatives(line)) step.refused.push_back(std::move(refused));
    } else if (word == "expect") {
      step.wanted = alternatives(line);
      step.line = number;
      script.steps_.push_back(std::exchange(step, {}));
      open_line = 0;
    } else {
      line.refuse("\"" + std::string(word) + "\" is no step: begin the line with send, expect or expect_not");
    }
  }
  if (open_line != 0) Line({}, open_line).refuse("nothing is expected after this step: end the script with an expect");
  if (script.steps_.empty())
    throw lemonade::sdk::OptionError("script", "the script has no step: give at least one expect \"text\"");
  return script;
}
