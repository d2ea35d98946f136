// SPDX-License-Identifier: MIT
//
// Which handler answers a request, and where it runs. Filled before the server starts, constant afterwards.
#pragma once

#include <map>
#include <string>
#include <variant>

#include "admin/message.h"
#include "base/clock.h"

namespace lemonade::admin {

/// Answers at once, on the thread that serves every client.
struct Prompt {
  Handler handler;
};

/// Takes a while, and runs on a thread for that.
struct Slow {
  Handler handler;
};

/// Begins at once and answers later. meanwhile is the answer where that takes longer than patience.
struct Late {
  LateHandler handler;
  Duration patience{};
  Response meanwhile = {};
};

using Route = std::variant<Prompt, Slow, Late>;

class Routes {
 public:
  void add(std::string method, std::string path, Route route);

  /// The route of a request, valid as long as this; or the answer where there is none: the list of endpoints for GET /,
  /// 404 or 405. Any thread.
  std::variant<const Route*, Response> find(const Request& request) const;

 private:
  using Methods = std::map<std::string, Route, std::less<>>;
  const Methods* methodsOf(const std::string& path) const;
  Response index() const;

  std::map<std::string, Methods, std::less<>> paths_;
};

/// What a handler answers; 500 where it throws, which is logged.
Response answerOf(const Handler& handler, const Request& request);

}  // namespace lemonade::admin
