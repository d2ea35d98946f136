// SPDX-License-Identifier: MIT
//
// An HTTP/1 answer as it arrives, in pieces of any size: its status, and whether its body holds a text. Boost.Beast
// reads the protocol; this keeps what is not read yet and gives up on what is too long.
//
// One probe's, used by one thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

class Answer {
 public:
  static constexpr std::size_t kMaxHead = 16 * 1024;  ///< bytes of status line and headers
  static constexpr std::size_t kMaxBody = 64 * 1024;  ///< bytes of the body that are searched

  enum class State {
    kHead,      ///< status line and headers are not complete
    kBody,      ///< status() is known and the body goes on
    kComplete,  ///< all has arrived, or more of the body than is searched
    kBroken,    ///< it is no HTTP; problem() says why
  };

  /// `wanted` is what to look for in the body, "" where nothing is; it must outlive this. has_body is false of what
  /// answers a HEAD.
  Answer(std::string_view wanted, bool has_body);
  ~Answer();

  /// Takes the next bytes. Not after kComplete or kBroken. May throw std::bad_alloc.
  State take(std::string_view bytes);
  /// The backend finished sending. Not after kComplete or kBroken.
  State finish();

  /// From 200 on; interim answers such as 100 are skipped. 0 in kHead, and in kBroken where the head is not complete.
  unsigned status() const noexcept;
  /// True once the wanted text has been seen in the body.
  bool found() const noexcept;
  const std::string& problem() const noexcept { return problem_; }

 private:
  class Parser;

  State parse();
  bool heldBack() const noexcept;
  State broken(std::string problem);
  bool interim() const noexcept;

  const std::string_view wanted_;
  const bool has_body_;
  std::unique_ptr<Parser> parser_;  // of the answer, or of the interim one before it
  std::string unread_;              // an incomplete head, or line of a chunk
  bool anything_ = false;           // a byte has arrived
  std::string problem_;
};
