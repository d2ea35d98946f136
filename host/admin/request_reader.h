// SPDX-License-Identifier: MIT
//
// Reads requests out of the bytes of one connection, in pieces of any size. Boost.Beast parses; what it tolerates and
// two readers of the same bytes may understand differently (folded lines, repeated lengths, a transfer coding in
// HTTP/1.0) is refused here, before it has any effect.
//
// Has no socket and never blocks. One thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "admin/message.h"
#include "admin/request_head.h"

namespace lemonade::admin {

class RequestReader {
 public:
  enum class Progress {
    kHead,      ///< the head is not complete
    kBody,      ///< it is, the body is not
    kComplete,  ///< head() and request() may be read; next() goes on
    kRefused,   ///< refusal() is the answer; what follows on this connection means nothing
  };

  /// Limits in bytes; a larger head is refused with 431, a larger body with 413.
  RequestReader(std::size_t head_limit, std::size_t body_limit);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// Takes what has come, which may be nothing. Not when complete or refused.
  Progress take(std::string_view bytes);
  /// Forgets the complete request and reads the next one; what came behind it is still there.
  void next();

  /// True where anything of a request has come.
  bool begun() const noexcept;
  /// True once, when the head is complete and the client waits to be asked for the body.
  bool asksToContinue() noexcept;
  /// From kBody on.
  const RequestHead& head() const noexcept { return head_; }
  /// When complete.
  const Request& request() const noexcept { return request_; }
  const Response& refusal() const noexcept { return refusal_; }

 private:
  class Parser;
  Progress readHead();
  Progress readBody();
  Progress lineOfBody();
  Progress judge();
  Progress refuse(int status, const std::string& message);

  const std::size_t head_limit_;
  const std::size_t body_limit_;
  std::string unread_;
  std::size_t scanned_ = 0;  // of unread_, without a fault
  Progress state_ = Progress::kHead;
  std::unique_ptr<Parser> parser_;
  bool asks_to_continue_ = false;
  RequestHead head_;
  Request request_;
  Response refusal_;
};

}  // namespace lemonade::admin
