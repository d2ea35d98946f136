// SPDX-License-Identifier: MIT
//
// The smallest HTTP client that can ask the admin listener and a worker.
#pragma once

#include "support/socket.h"

#include <string>

namespace lemonade::test {

struct HttpAnswer {
  int status = 0;
  std::string head;  ///< status line and headers
  std::string body;
};

/// One request on a connection of its own. path starts with '/'.
HttpAnswer httpGet(const std::string& address, const std::string& path, const std::string& method = "GET");

}  // namespace lemonade::test
