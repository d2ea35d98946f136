// SPDX-License-Identifier: MIT
#include "admin/connection.h"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/write.hpp>

#include <sstream>
#include <utility>
#include <variant>

#include "admin/clients.h"

namespace lemonade::admin {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

/// How much of what a client sends behind its last request is read and thrown away.
constexpr std::size_t kMaxDiscarded = std::size_t{16} << 20;

std::string headOf(const Response& response, bool last) {
  http::response<http::empty_body> message(static_cast<http::status>(response.status), 11);
  message.set(http::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) message.set(name, value);
  if (response.stream == nullptr) message.set(http::field::content_length, std::to_string(response.body.size()));
  last = last || response.stream != nullptr;
  message.set(http::field::connection, last ? "close" : "keep-alive");
  std::ostringstream out;
  out << message.base();
  return std::move(out).str();
}

}  // namespace

Connection::Connection(Clients& clients, Socket socket, Peer peer)
    : clients_(clients),
      socket_(std::move(socket)),
      peer_(std::move(peer)),
      timer_(socket_.get_executor()),
      reader_(clients.limits().head, clients.limits().body) {}

Connection::~Connection() {
  if (stream_ != nullptr) stream_->leave();
}

void Connection::start() {
  enter(Phase::kReading, clients_.limits().request_time);
  read();
}

void Connection::end() {
  if (std::exchange(ended_, true)) return;
  if (stream_ != nullptr) stream_->leave();
  timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  clients_.remove(*this);
}

void Connection::finish() {
  last_ = true;
  if (phase_ != Phase::kAnswering && phase_ != Phase::kWriting) end();
}

void Connection::enter(Phase phase, Duration time) {
  phase_ = phase;
  since_ns_ = nowNs();
  timer_.expires_after(time);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    // One that expired while another phase was entered is too late to be cancelled.
    if (!error && self->timer_.expiry() <= std::chrono::steady_clock::now()) self->onDeadline();
  });
}

void Connection::onDeadline() {
  if (ended_) return;
  if (phase_ != Phase::kAnswering) return end();
  refuse(errorResponse(503, "the answer takes too long; what makes it is busy or hangs"));
}

void Connection::read() {
  socket_.async_read_some(asio::buffer(buffer_),
                          [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
                            if (self->ended_) return;
                            error ? self->end() : self->onRead(size);
                          });
}

void Connection::onRead(std::size_t size) {
  if (phase_ != Phase::kLingering && phase_ != Phase::kStreaming) return proceed({buffer_.data(), size});
  discarded_ += size;
  discarded_ > kMaxDiscarded ? end() : read();
}

void Connection::proceed(std::string_view bytes) {
  const auto progress = reader_.take(bytes);
  if (progress == RequestReader::Progress::kRefused) return refuse(reader_.refusal());
  if (phase_ == Phase::kIdle && reader_.begun()) enter(Phase::kReading, clients_.limits().request_time);
  if (progress == RequestReader::Progress::kHead) return read();
  if (!std::exchange(judged_, true) && isRefused()) return;
  if (progress == RequestReader::Progress::kComplete) return answer();
  reader_.asksToContinue() ? askForBody() : read();
}

/// As soon as the head says who asks for what: a body that has no effect need not be read.
bool Connection::isRefused() {
  auto judged = clients_.judge(reader_.head(), peer_);
  if (auto* refusal = std::get_if<Response>(&judged)) return refuse(std::move(*refusal)), true;
  by_ = std::move(std::get<std::string>(judged));
  return false;
}

void Connection::askForBody() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(socket_, asio::buffer(kContinue.data(), kContinue.size()),
                    [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                      if (self->ended_) return;
                      error ? self->end() : self->read();
                    });
}

void Connection::answer() {
  last_ = last_ || !reader_.head().keep_alive;
  enter(Phase::kAnswering, clients_.limits().response_time);
  auto request = reader_.request();
  request.by = by_;
  clients_.responder().answer({std::move(request), chooseCoding(reader_.head().accept_encoding), weak_from_this(),
                               [weak = weak_from_this()](Responder::Shared answer) {
                                 const auto self = weak.lock();
                                 if (self && !self->ended_ && self->phase_ == Phase::kAnswering)
                                   self->write(std::move(answer));
                               }});
}

void Connection::refuse(Response response) {
  last_ = true;
  write(std::make_shared<const Response>(std::move(response)));
}

void Connection::write(Responder::Shared answer) {
  enter(Phase::kWriting, clients_.limits().response_time);
  answer_ = std::move(answer);
  head_ = headOf(*answer_, last_);
  clients_.boundUnsent(*this);
  const bool bodiless = reader_.head().method == "HEAD";
  const std::array<asio::const_buffer, 2> pieces{asio::buffer(head_),
                                                 bodiless ? asio::const_buffer() : asio::buffer(answer_->body)};
  asio::async_write(socket_, pieces, [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
    if (self->ended_) return;
    error ? self->end() : self->onWritten();
  });
}

void Connection::onWritten() {
  stream_ = answer_->stream;
  answer_.reset();
  if (stream_ != nullptr) return reader_.head().method == "HEAD" ? end() : beginStream();
  if (last_) return linger();
  reader_.next();
  judged_ = false;
  enter(Phase::kIdle, clients_.limits().idle_time);
  proceed({});
}

/// Closing while bytes are unread is a reset, which takes the end of the answer from the client.
void Connection::linger() {
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  enter(Phase::kLingering, clients_.limits().request_time);
  read();
}

/// What the client says meanwhile is thrown away; that it leaves is seen by reading.
void Connection::beginStream() {
  stream_->onPiece([weak = weak_from_this(), executor = socket_.get_executor()] {
    asio::post(executor, [weak] {
      if (const auto self = weak.lock(); self && !self->ended_ && self->piece_ == nullptr) self->writePiece();
    });
  });
  read();
  writePiece();
}

/// A client that takes nothing for a while is ended by its deadline.
void Connection::writePiece() {
  if (phase_ == Phase::kLingering) return;
  const auto next = stream_->take(piece_);
  if (next == Stream::State::kEnd) {
    boost::system::error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    return enter(Phase::kLingering, clients_.limits().request_time);  // it is being read
  }
  enter(Phase::kStreaming, clients_.limits().response_time);
  if (next == Stream::State::kNothing) return;
  asio::async_write(socket_, asio::buffer(*piece_),
                    [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                      if (self->ended_) return;
                      self->piece_.reset();
                      error ? self->end() : self->writePiece();
                    });
}

}  // namespace lemonade::admin
