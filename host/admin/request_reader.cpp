// SPDX-License-Identifier: MIT
//
// The rules of RFC 9112 that are left to us, each with what it answers.
#include "admin/request_reader.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>

#include "admin/target.h"

namespace lemonade::admin {

namespace http = boost::beast::http;

namespace {

using Fields = http::fields;

bool isTokenCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string textOf(boost::beast::string_view text) { return {text.data(), text.size()}; }

/// What is wrong with the end of a line at text[at], given what comes before; "" where nothing is.
const char* endFault(std::string_view text, std::size_t at) {
  const char before = at == 0 ? '\0' : text[at - 1];
  if (text[at] == '\n' && before != '\r') return "a line ends with CR LF, not with LF alone";
  return before == '\r' && text[at] != '\n' ? "a CR stands only before a LF" : "";
}

/// The same within a head, where Beast would take a folded line for one.
const char* lineFault(std::string_view text, std::size_t at) {
  const bool folded = at > 0 && text[at - 1] == '\n' && (text[at] == ' ' || text[at] == '\t');
  return folded ? "a header is one line, it is not folded" : endFault(text, at);
}

std::string beastFault(const boost::system::error_code& error) { return "this is no HTTP request: " + error.message(); }

std::string tooLarge(const std::string& what, std::size_t limit) {
  return "a " + what + " has at most " + std::to_string(limit) + " bytes here";
}

std::optional<std::string> only(const Fields& fields, http::field name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::nullopt : std::optional(textOf(found->value()));
}

/// What is wrong with the fields that say where a message ends, or with one that may come once only.
const char* framingFault(const http::request_header<>& head) {
  for (const auto name : {http::field::content_length, http::field::transfer_encoding, http::field::host,
                          http::field::origin, http::field::expect, http::field::authorization})
    if (head.count(name) > 1) return "a header that may come once comes again";
  const auto length = only(head, http::field::content_length);
  if (length && length->find_first_not_of("0123456789") != std::string::npos) return "Content-Length is one number";
  const auto coding = only(head, http::field::transfer_encoding);
  if (!coding) return "";
  if (head.version() < 11) return "HTTP/1.0 has no Transfer-Encoding";
  return boost::beast::iequals(*coding, "chunked") ? "" : "the only Transfer-Encoding read here is chunked";
}

}  // namespace

class RequestReader::Parser : public http::request_parser<http::string_body> {
 public:
  Parser() { on_chunk_header(chunk_header_); }

 private:
  /// Beast takes a LF within quotes for a part of them.
  std::function<void(std::uint64_t, boost::beast::string_view, boost::system::error_code&)> chunk_header_ =
      [](std::uint64_t, boost::beast::string_view extensions, boost::system::error_code& error) {
        if (extensions.find_first_of("\r\n") != boost::beast::string_view::npos)
          error = http::error::bad_chunk_extension;
      };
};

RequestReader::RequestReader(std::size_t head_limit, std::size_t body_limit)
    : head_limit_(head_limit), body_limit_(body_limit) {}

RequestReader::~RequestReader() = default;

bool RequestReader::begun() const noexcept { return !unread_.empty() || state_ != Progress::kHead; }

bool RequestReader::asksToContinue() noexcept { return std::exchange(asks_to_continue_, false); }

void RequestReader::next() {
  state_ = Progress::kHead;
  scanned_ = 0;
  parser_.reset();
  head_ = {};
  request_ = {};
}

RequestReader::Progress RequestReader::take(std::string_view bytes) {
  unread_ += bytes;
  if (state_ == Progress::kHead) state_ = readHead();
  if (state_ == Progress::kBody) state_ = readBody();
  return state_;
}

RequestReader::Progress RequestReader::readHead() {
  // An empty line before a request is what some clients send behind a body (RFC 9112, 2.2).
  for (; unread_.starts_with("\r\n"); scanned_ = 0) unread_.erase(0, 2);
  for (; scanned_ < unread_.size(); ++scanned_) {
    if (scanned_ == 0 && !isTokenCharacter(unread_[0]) && unread_[0] != '\r')
      return refuse(400, "this is no HTTP request; the admin listener speaks HTTP/1.1 without TLS");
    if (scanned_ >= head_limit_) return refuse(431, tooLarge("head", head_limit_));
    if (const std::string fault = lineFault(unread_, scanned_); !fault.empty()) return refuse(400, fault);
    if (std::string_view(unread_.data(), scanned_ + 1).ends_with("\r\n\r\n")) break;
  }
  if (scanned_ == unread_.size()) return Progress::kHead;
  parser_ = std::make_unique<Parser>();
  parser_->header_limit(static_cast<std::uint32_t>(head_limit_ + 1));
  parser_->body_limit(body_limit_);
  boost::system::error_code error;
  parser_->put(boost::asio::const_buffer(unread_.data(), scanned_ + 1), error);
  unread_.erase(0, scanned_ + 1);
  if (error == http::error::body_limit) return refuse(413, tooLarge("body", body_limit_));
  if (error == http::error::bad_version) return refuse(400, "the admin listener speaks HTTP/1.1 and HTTP/1.0");
  if (error) return refuse(400, beastFault(error));
  return judge();
}

RequestReader::Progress RequestReader::judge() {
  const auto& head = parser_->get();
  if (const std::string fault = framingFault(head); !fault.empty()) return refuse(400, fault);
  auto target = parseTarget({head.target().data(), head.target().size()});
  if (!target) return refuse(400, "the request target is no path");
  auto host = only(head, http::field::host);
  if (!host && head.version() >= 11) return refuse(400, "a request of HTTP/1.1 has a Host header");
  head_.method = request_.method = textOf(head.method_string());
  head_.host = target->authority ? std::move(target->authority) : std::move(host);
  head_.origin = only(head, http::field::origin);
  head_.accept_encoding = only(head, http::field::accept_encoding);
  head_.authorization = only(head, http::field::authorization);
  head_.keep_alive = head.keep_alive();
  request_.path = std::move(target->path);
  request_.query = std::move(target->query);
  request_.accept = only(head, http::field::accept).value_or("");
  const auto expected = only(head, http::field::expect);
  if (expected && !boost::beast::iequals(*expected, "100-continue"))
    return refuse(417, "what is expected is unknown here");
  asks_to_continue_ = expected && head.version() >= 11 && !parser_->is_done() && unread_.empty();
  return Progress::kBody;
}

RequestReader::Progress RequestReader::readBody() {
  while (!parser_->is_done()) {
    // Beast (1.74) asserts that the last chunk, which it has seen begin as "0\r\n" without another before it, goes on
    // by two bytes at least.
    if (unread_.empty() || unread_ == "0\r\n") return Progress::kBody;
    boost::system::error_code error;
    parser_->eager(true);
    const auto read =
        parser_->put(boost::asio::const_buffer(unread_.data(), std::min(unread_.size(), head_limit_)), error);
    unread_.erase(0, read);
    if (error == http::error::need_more) return lineOfBody();
    if (error == http::error::body_limit) return refuse(413, tooLarge("body", body_limit_));
    if (error) return refuse(400, beastFault(error));
  }
  request_.body = std::move(parser_->get().body());
  return Progress::kComplete;
}

/// What Beast wants more of is a line that begins a chunk, or trailers: it sets no limit to them, and waits for a CR.
RequestReader::Progress RequestReader::lineOfBody() {
  for (std::size_t i = 0; i < unread_.size(); ++i)
    if (const std::string fault = endFault(unread_, i); !fault.empty()) return refuse(400, fault);
  return unread_.size() >= head_limit_ ? refuse(400, "a line of the body is too long") : Progress::kBody;
}

RequestReader::Progress RequestReader::refuse(int status, const std::string& message) {
  refusal_ = errorResponse(status, message);
  return Progress::kRefused;
}

}  // namespace lemonade::admin
