// SPDX-License-Identifier: MIT
//
// The terminal as a screen that is drawn anew, and as single keys. As it was before, however the command ends by a
// signal that can be caught. One in a process; one thread.
#pragma once

#include "base/clock.h"

#include <termios.h>

#include <cstddef>
#include <optional>
#include <string>

namespace lemonade::cli {

class Terminal {
 public:
  /// True where both standard input and standard output are one.
  static bool isThere();

  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Shows these lines from the top, as many as there is room for.
  void draw(const std::string& lines);
  /// A key that was pressed within the time; nothing where none was, or the size has changed.
  std::optional<char> key(Duration within) const;
  /// A signal asks for the end.
  static bool interrupted() noexcept;

  std::size_t rows() const noexcept { return rows_; }
  std::size_t columns() const noexcept { return columns_; }

 private:
  void measure();

  termios before_{};
  std::size_t rows_ = 24;
  std::size_t columns_ = 80;
};

/// A line with colours cut to that many columns.
std::string clipped(const std::string& line, std::size_t columns);

}  // namespace lemonade::cli
