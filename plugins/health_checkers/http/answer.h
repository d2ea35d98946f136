// SPDX-License-Identifier: MIT
//
// An HTTP/1 answer as it arrives, in pieces of any size: its status, and whether its body holds a text. Lines may end
// in LF as well as in CRLF. What is not read yet is kept, and what is too long given up on.
//
// One probe's, used by one thread at a time.
#pragma once

#include "head.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

class Answer {
 public:
  static constexpr std::size_t kMaxHead = 16 * 1024;  ///< bytes of status line and headers
  static constexpr std::size_t kMaxBody = 64 * 1024;  ///< bytes of the body that are searched

  enum class Progress {
    kHead,      ///< status line and headers are not complete
    kBody,      ///< status() is known and the body goes on
    kComplete,  ///< all has arrived, or more of the body than is searched
    kBroken,    ///< it is no HTTP; problem() says why
  };

  /// `wanted` is what to look for in the body, "" where nothing is; it must outlive this. has_body is false of what
  /// answers a HEAD.
  Answer(std::string_view wanted, bool has_body) : wanted_(wanted), has_body_(has_body) {}

  /// Takes the next bytes. Not after kComplete or kBroken. May throw std::bad_alloc.
  Progress take(std::string_view bytes);
  /// The backend finished sending. Not after kComplete or kBroken.
  Progress finish();

  /// From 200 on; interim answers such as 100 are skipped. 0 in kHead, and in kBroken where the head is not complete.
  unsigned status() const noexcept { return reading_ == Reading::kHead ? 0 : head_.status(); }
  /// True once the wanted text has been seen in the body.
  bool found() const noexcept { return found_; }
  const std::string& problem() const noexcept { return problem_; }

 private:
  /// What the next bytes are.
  enum class Reading { kHead, kUntilEnd, kLength, kChunkSize, kChunk, kChunkEnd, kTrailers, kNothing };

  Progress read();
  bool readHeadLine(std::string_view line);
  bool readBodyLine(std::string_view line);
  void readData();
  void beginBody();
  std::optional<std::string_view> nextLine() noexcept;
  std::string_view rest() const noexcept { return std::string_view(unread_).substr(at_); }
  bool isNoHttp() const noexcept;
  Progress broken(std::string problem);

  const std::string_view wanted_;
  const bool has_body_;
  Head head_;
  Reading reading_ = Reading::kHead;
  std::string unread_;      // what came, up to an incomplete line
  std::size_t at_ = 0;      // so much of it was read, within take()
  std::size_t lines_ = 0;   // bytes of the head, or of the trailers, so far
  std::uint64_t left_ = 0;  // bytes of kLength or kChunk
  std::size_t body_ = 0;    // bytes so far
  std::string tail_;        // the end of the body so far, one byte shorter than what is wanted
  bool found_ = false;
  bool anything_ = false;  // a byte has arrived
  std::string problem_;
};
