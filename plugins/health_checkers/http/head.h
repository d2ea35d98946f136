// SPDX-License-Identifier: MIT
//
// The head of an HTTP/1 answer, line by line: its status, and how long its body is. It takes what HAProxy takes: a
// status line without a reason, headers that are folded, a length beside chunks, which count. It refuses what a proxy
// could read in two ways: lengths that differ, an unknown coding, a name that is no name.
//
// A plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

class Head {
 public:
  enum class Line {
    kMore,  ///< the head goes on
    kLast,  ///< this empty line ended it
    kBad,   ///< this is none of an HTTP answer
  };

  /// Takes the next line, without its end. Not after kLast or kBad. May throw std::bad_alloc.
  Line take(std::string_view line);

  /// 0 until the status line was taken.
  unsigned status() const noexcept { return status_; }
  bool chunked() const noexcept { return chunked_; }
  /// What Content-Length says; nothing where there is none. Does not count where the body is chunked.
  std::optional<std::uint64_t> length() const noexcept { return length_; }

 private:
  bool takeStatus(std::string_view line);
  bool takeHeader(std::string_view line);
  bool endHeader();
  bool takeLengths(std::string_view list);

  unsigned status_ = 0;
  bool chunked_ = false;
  std::optional<std::uint64_t> length_;
  std::string name_;   // of the header that the next line may go on with, in small letters
  std::string value_;  // of that
};
