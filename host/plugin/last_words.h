// SPDX-License-Identifier: MIT
//
// One line on standard error from within the handler of a signal: nothing is allocated, locked or buffered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lemonade::plugin {

/// Async-signal-safe, all of it.
class LastWords {
 public:
  /// An ERROR line of the component "plugin".
  explicit LastWords(std::string_view message, bool json) noexcept;

  LastWords& field(std::string_view name, std::string_view text) noexcept;
  LastWords& field(std::string_view name, std::uint64_t number) noexcept;
  LastWords& address(std::string_view name, const void* address) noexcept;
  /// The innermost first: "lemonade+0x20f10 < 0x7f52c0a4d1", the host's own as offsets in its file.
  LastWords& backtrace(std::span<const void* const> frames) noexcept;

  /// Writes the line.
  void write() noexcept;

 private:
  void append(std::string_view text) noexcept;
  void appendQuoted(std::string_view text) noexcept;
  void appendNumber(std::uint64_t number, unsigned base, int digits) noexcept;
  void appendTime() noexcept;
  void begin(std::string_view name) noexcept;

  const bool json_;
  char line_[2048];
  std::size_t size_ = 0;
};

}  // namespace lemonade::plugin
