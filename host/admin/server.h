// SPDX-License-Identifier: MIT
//
// The admin listener: a small HTTP/1.1 server on Poco::Net::HTTPServer with a few threads of its own. It answers
// operators and scrapers, so it must outlive whatever they send: each connection carries one request and has a few
// seconds to say it, bodies and queues are bounded, and a client that hangs is cut off, also by stop().
//
// Belongs to the control thread; handlers run on the server's threads, several at once.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace lemonade::admin {

struct Request {
  std::string method;
  std::string path;         ///< decoded
  std::string query = {};   ///< as sent, without the question mark
  std::string accept = {};  ///< the Accept header, "" where none was sent
  std::string body = {};
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// An answer of {"error": message}.
Response errorResponse(int status, const std::string& message);

/// How long a client may take, and how much it may send.
struct Limits {
  Duration request_time = std::chrono::seconds(5);    ///< from accept until the request has been read
  Duration response_time = std::chrono::seconds(60);  ///< from then until the answer has been written
  std::size_t body = std::size_t{1} << 20;            ///< bytes; more is answered with 413
  int threads = 8;
  int queued = 64;  ///< connections waiting for a thread; more are closed
};

class Server {
 public:
  using Handler = std::function<Response(const Request&)>;

  explicit Server(Limits limits = {});
  /// Stops at once where stop() was not called.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Answers method (GET answers HEAD too) on path, which is exact or "/prefix/*"; of several the longest match
  /// answers. What a handler throws is logged and answered with 500. Before start().
  void handle(std::string method, std::string path, Handler handler);

  /// Listens on a numeric address with a port, which may be 0. Once.
  Status start(const std::string& address);
  /// Where it listens, as "127.0.0.1:9090"; "" before start() and after stop().
  std::string address() const;

  /// Accepts no more, drops requests that are not complete, gives the others `grace`, then cuts them off. The end of
  /// this object: only address() may follow. Returns false where a handler still did not return: it is left behind with
  /// its thread, which the log says. What it captured must bear that, and the process must end with _exit, before it
  /// finds POCO's statics destroyed.
  bool stop(Duration grace);

 private:
  struct State;
  std::shared_ptr<State> state_;  // none after stop()
};

}  // namespace lemonade::admin
