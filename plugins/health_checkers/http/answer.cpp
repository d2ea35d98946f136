// SPDX-License-Identifier: MIT
#include "answer.h"

#include <lemonade/sdk/printable.hpp>

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <cstdint>
#include <limits>
#include <utility>

namespace http = boost::beast::http;
using boost::beast::error_code;
using BeastText = boost::beast::string_view;

namespace {

constexpr std::string_view kProtocol = "HTTP/1.";

}  // namespace

/// Keeps of an answer what a check asks for: the status, and of the body as much as a match may lie across.
class Answer::Parser : public http::basic_parser<false> {
 public:
  Parser(std::string_view wanted, bool has_body) : wanted_(wanted) {
    header_limit(kMaxHead);
    body_limit(std::numeric_limits<std::uint64_t>::max());  // none would refuse every length
    skip(!has_body);
  }

  unsigned status = 0;
  bool header_done = false;
  bool found = false;
  std::size_t body = 0;  // bytes so far

 private:
  void on_request_impl(http::verb, BeastText, BeastText, int, error_code&) override {}
  void on_response_impl(int code, BeastText, int, error_code&) override { status = static_cast<unsigned>(code); }
  void on_field_impl(http::field, BeastText, BeastText, error_code&) override {}
  void on_header_impl(error_code&) override { header_done = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  void on_chunk_header_impl(std::uint64_t, BeastText, error_code&) override {}
  void on_finish_impl(error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, BeastText piece, error_code&) override { return search(piece); }
  std::size_t on_body_impl(BeastText piece, error_code&) override { return search(piece); }

  std::size_t search(BeastText piece) {
    if (!wanted_.empty() && !found && body < kMaxBody) {
      tail_.append(piece.data(), std::min(piece.size(), kMaxBody - body));
      found = tail_.find(wanted_) != std::string::npos;
      if (tail_.size() >= wanted_.size()) tail_.erase(0, tail_.size() - wanted_.size() + 1);
    }
    body += piece.size();
    return piece.size();
  }

  const std::string_view wanted_;
  std::string tail_;  // the end of the body so far, one byte shorter than what is wanted
};

Answer::Answer(std::string_view wanted, bool has_body)
    : wanted_(wanted), has_body_(has_body), parser_(std::make_unique<Parser>(wanted, has_body)) {}

Answer::~Answer() = default;

unsigned Answer::status() const noexcept { return parser_->header_done && !interim() ? parser_->status : 0; }
bool Answer::found() const noexcept { return parser_->found; }
bool Answer::interim() const noexcept { return parser_->status / 100 == 1; }

/// Beast (1.74) asserts that a last chunk which it has seen begin as "0\r\n", without another before it, goes on by two
/// bytes at least: it is shown those three together with what follows. Chunked answers never end with them.
bool Answer::heldBack() const noexcept {
  return parser_->header_done && parser_->chunked() && parser_->body == 0 && unread_ == "0\r\n";
}

Answer::State Answer::take(std::string_view bytes) {
  anything_ = anything_ || !bytes.empty();
  unread_ += bytes;
  return parse();
}

Answer::State Answer::parse() {
  while (true) {
    if (parser_->is_done()) {
      if (!interim()) return State::kComplete;
      parser_ = std::make_unique<Parser>(wanted_, has_body_);
    }
    if (parser_->body >= kMaxBody) return State::kComplete;
    if (unread_.empty() || heldBack()) break;
    // Beast waits for a whole line, which the alert of a TLS server never becomes.
    if (parser_->status == 0 && unread_.compare(0, kProtocol.size(), kProtocol.substr(0, unread_.size())) != 0)
      return broken("no HTTP answer but " + lemonade::sdk::quoted(unread_));
    error_code error;
    const auto begins = unread_.substr(0, 40);
    parser_->eager(parser_->header_done);  // it stops behind the head, where heldBack() looks at what follows
    const auto read = parser_->put(boost::asio::const_buffer(unread_.data(), unread_.size()), error);
    unread_.erase(0, read);
    if (error == http::error::need_more) break;
    if (error == http::error::header_limit) return broken("the head of the answer is longer than 16 KiB");
    if (error)
      return broken(parser_->header_done ? "the body of the answer is broken: " + error.message()
                                         : "no HTTP answer but " + lemonade::sdk::quoted(begins));
  }
  // Beast sets no limit to the line that begins a chunk.
  if (unread_.size() > kMaxHead) return broken("a line of the answer is longer than 16 KiB");
  return status() == 0 ? State::kHead : State::kBody;
}

Answer::State Answer::finish() {
  if (!anything_) return broken("closed without an answer");
  error_code error = http::error::partial_message;
  if (heldBack()) parser_->put(boost::asio::const_buffer(unread_.data(), unread_.size()), error);  // may be body
  if (parser_->got_some()) parser_->put_eof(error);
  if (error) return broken("closed before the answer was complete");
  return State::kComplete;
}

Answer::State Answer::broken(std::string problem) {
  problem_ = std::move(problem);
  return State::kBroken;
}
