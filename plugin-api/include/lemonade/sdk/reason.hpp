// SPDX-License-Identifier: MIT
//
// What a strategy says when it is asked why: a few words in the host's memory, put together without an allocation. What
// does not fit is left out.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <system_error>

namespace lemonade::sdk {

/// A text in room that is somebody else's, and outlives it. One thread.
class Reason {
 public:
  explicit Reason(std::span<char> room) noexcept : room_(room) {}

  /// Adds a text, as far as it fits. [worker]
  Reason& add(std::string_view text) noexcept {
    const std::size_t size = text.size() < room_.size() - size_ ? text.size() : room_.size() - size_;
    std::memcpy(room_.data() + size_, text.data(), size);
    size_ += size;
    return *this;
  }
  /// A number, where all of it fits. [worker]
  Reason& add(std::uint32_t number) noexcept { return put(std::to_chars(end(), last(), number)); }
  /// The same with so many digits behind the point. [worker]
  Reason& add(double number, int digits) noexcept {
    return put(std::to_chars(end(), last(), number, std::chars_format::fixed, digits));
  }

  /// How long it is by now. [worker]
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(size_); }
  /// What was added; valid as long as the room. [worker]
  std::string_view text() const noexcept { return {room_.data(), size_}; }

 private:
  char* end() const noexcept { return room_.data() + size_; }
  char* last() const noexcept { return room_.data() + room_.size(); }
  Reason& put(std::to_chars_result done) noexcept {
    if (done.ec == std::errc()) size_ = static_cast<std::size_t>(done.ptr - room_.data());
    return *this;
  }

  std::span<char> room_;
  std::size_t size_ = 0;
};

}  // namespace lemonade::sdk
