// SPDX-License-Identifier: MIT
//
// Which handler answers a request. Filled before the server starts, constant afterwards.
#pragma once

#include <map>
#include <string>

#include "admin/server.h"

namespace lemonade::admin {

class Routes {
 public:
  void add(std::string method, std::string path, Server::Handler handler);

  /// The answer to a request: the handler's, the list of endpoints for GET /, or 404, 405 or 500 as JSON. Any thread.
  Response answer(const Request& request) const;

 private:
  using Methods = std::map<std::string, Server::Handler, std::less<>>;
  const Methods* find(const std::string& path) const;
  Response index() const;

  std::map<std::string, Methods, std::less<>> paths_;
};

}  // namespace lemonade::admin
