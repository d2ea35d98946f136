// SPDX-License-Identifier: MIT
//
// One client of the admin server, of TCP or of the Unix socket: reads a request, has it answered, writes the answer,
// and so on. Each of these has a deadline, and a connection in it may be ended to make room for another.
//
// Belongs to the thread of its socket's io_context. Clients owns it, and outlives every call.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "admin/peer.h"
#include "admin/request_reader.h"
#include "admin/responder.h"
#include "admin/stream.h"

namespace lemonade::admin {

class Clients;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// What it does, those first that are the first to make room.
  enum class Phase {
    kLingering,  ///< it has its last answer; what it still sends is thrown away, so that it gets to read that
    kIdle,       ///< between two requests
    kReading,
    kWriting,
    kAnswering,  ///< a handler has the request
    kStreaming,  ///< the answer goes on
  };

  using Socket = boost::asio::generic::stream_protocol::socket;

  Connection(Clients& clients, Socket socket, Peer peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  /// Closes, whatever is under way, and leaves Clients. Again: does nothing.
  void end();
  /// Lets it finish what it answers, and ends it at once where that is nothing.
  void finish();

  Phase phase() const noexcept { return phase_; }
  std::uint64_t sinceNs() const noexcept { return since_ns_; }
  /// What is being written; else nothing.
  const Responder::Shared& unsent() const noexcept { return answer_; }

 private:
  void enter(Phase phase, Duration time);
  void onDeadline();
  void read();
  void onRead(std::size_t size);
  void proceed(std::string_view bytes);
  bool isRefused();
  void askForBody();
  void answer();
  void refuse(Response response);
  void write(Responder::Shared answer);
  void onWritten();
  void linger();
  void beginStream();
  void writePiece();

  Clients& clients_;
  Socket socket_;
  const Peer peer_;
  boost::asio::steady_timer timer_;
  RequestReader reader_;
  Phase phase_ = Phase::kReading;
  std::uint64_t since_ns_ = 0;
  bool judged_ = false;  // the head of this request may be answered
  std::string by_;       // who asks it, once it is judged
  bool last_ = false;    // no request follows
  bool ended_ = false;
  std::size_t discarded_ = 0;
  Responder::Shared answer_;
  std::string head_;  // of the answer
  std::shared_ptr<Stream> stream_;
  Stream::Piece piece_;  // that is being written
  std::array<char, 8'192> buffer_;
};

}  // namespace lemonade::admin
