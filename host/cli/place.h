// SPDX-License-Identifier: MIT
//
// Where the balancer answers that a command is for. Control plane; one thread.
#pragma once

#include "base/result.h"
#include "cli/options.h"

#include <string>

namespace lemonade::cli {

struct Place {
  std::string socket;   ///< path of a Unix socket; "": over TCP
  std::string address;  ///< "10.0.0.1:9090", "lb.example:9090"; "": the socket

  /// For people: "unix:/run/lemonade/admin.sock", "127.0.0.1:9090".
  std::string text() const { return socket.empty() ? address : "unix:" + socket; }
};

/// The first of: --admin, what --config says, $LEMONADE_ADMIN, what the environment of a balancer says, the usual
/// socket where there is one, 127.0.0.1:9090. The error names what is wrong, which may be several lines.
Result<Place> findPlace(const Options& options);

/// "unix:/run/a.sock", "/run/a.sock", "host:port", "http://host:port".
Result<Place> parsePlace(const std::string& text);

}  // namespace lemonade::cli
