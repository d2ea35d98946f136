// SPDX-License-Identifier: MIT
//
// Asks the balancer over HTTP, by TCP or by its Unix socket. One thread.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "cli/options.h"
#include "cli/place.h"

#include <string>
#include <utility>

namespace lemonade::cli {

struct Reply {
  int status = 0;
  std::string type;  ///< "application/json"
  std::string body;

  bool ok() const noexcept { return status >= 200 && status < 300; }
};

class Client {
 public:
  /// token: "" for none.
  Client(Place place, std::string token) : place_(std::move(place)), token_(std::move(token)) {}

  /// One request on a connection of its own. The error says that nobody answers, and what may be done.
  Result<Reply> ask(const std::string& method, const std::string& path, Duration patience = std::chrono::seconds(65));
  Result<Reply> get(const std::string& path) { return ask("GET", path); }

  const Place& place() const noexcept { return place_; }

 private:
  const Place place_;
  const std::string token_;
};

/// The token to send: the first of the file that --token-file or $LEMONADE_ADMIN_TOKEN_FILE names; "" for none.
Result<std::string> readToken(const Options& options);

/// Text as a part of a path or of a query.
std::string encoded(const std::string& text);

}  // namespace lemonade::cli
