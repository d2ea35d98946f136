// SPDX-License-Identifier: MIT
//
// What a handler of the admin listener is asked, and what it answers. Plain data.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::admin {

struct Request {
  std::string method;
  std::string path;         ///< decoded
  std::string query = {};   ///< as sent, without the question mark
  std::string accept = {};  ///< the Accept header, "" where none was sent
  std::string body = {};
  /// Who asks: the client's address with its port, or "unix:uid=1000 pid=77", and the name of the token it has.
  std::string by = {};
};

class Stream;

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::shared_ptr<Stream> stream = {};  ///< goes on behind the body, until one of both ends it
};

/// Whether a request of that method may change something.
inline bool changes(const std::string& method) { return method != "GET" && method != "HEAD"; }

/// An answer of {"error": message}.
Response errorResponse(int status, const std::string& message);

using Handler = std::function<Response(const Request&)>;
/// Takes the answer to one request, from any thread and at any time, also when the server is gone. The first counts.
using Answer = std::function<void(Response)>;
/// Begins what an answer takes, and returns at once.
using LateHandler = std::function<void(const Request&, Answer)>;

}  // namespace lemonade::admin
