// SPDX-License-Identifier: MIT
//
// What the head of a request says beside the request itself.
#pragma once

#include <optional>
#include <string>

namespace lemonade::admin {

struct RequestHead {
  std::string method;
  std::optional<std::string> host = {};    ///< of the target, or of the header; HTTP/1.0 may have none
  std::optional<std::string> origin = {};  ///< of the page that a browser sends the request for
  std::optional<std::string> accept_encoding = {};
  std::optional<std::string> authorization = {};  ///< the header's value
  bool keep_alive = false;
};

}  // namespace lemonade::admin
