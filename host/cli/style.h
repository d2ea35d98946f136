// SPDX-License-Identifier: MIT
//
// How answers look on a terminal: colours, where they are wanted, and columns. Stateless but for the columns; one
// thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::cli {

enum class Colour { kNone, kGood, kWarning, kBad, kFaint, kBold };

/// True where standard output is a terminal that shows colours, and $NO_COLOR is not set (no-color.org).
bool wantsColour();

/// The text in that colour, where colours are wanted.
std::string painted(std::string_view text, Colour colour, bool wanted);

/// How many columns of a terminal the text takes. Every character counts one.
std::size_t widthOf(std::string_view text);

/// What is not to be printed, such as an escape that a name brings, is replaced.
std::string harmless(const std::string& text);

/// Rows of cells in columns as wide as they need to be.
class Table {
 public:
  struct Cell {
    std::string text;
    Colour colour = Colour::kNone;
    bool right = false;  ///< aligned to the right, as numbers are
  };
  using Row = std::vector<Cell>;

  explicit Table(std::vector<std::string> head);
  void add(Row row) { rows_.push_back(std::move(row)); }
  bool empty() const noexcept { return rows_.empty(); }

  /// One line for each row, the head first, each ending with a newline.
  std::string text(bool colours) const;

 private:
  std::vector<std::string> head_;
  std::vector<Row> rows_;
};

/// A cell of a number.
Table::Cell number(std::string text, Colour colour = Colour::kNone);

/// The values from the eldest to the newest as bars of eighths of a line; the largest is a whole one.
std::string sparkline(const std::vector<double>& values, std::size_t width);

// Numbers for people: "1234", "12.3k", "4.5M"; "0.42 ms", "12 ms", "1.2 s"; "0.3 %".
std::string countText(double count);
std::string millisText(double millis);
std::string shareText(double share);
/// "42s", "5m 12s", "3h 20m", "9d 4h".
std::string spanText(double seconds);
/// "2026-11-29 00:10:00" of a time with fractions, as RFC 3339 writes it in UTC.
std::string timeText(const std::string& time);

}  // namespace lemonade::cli
