// SPDX-License-Identifier: MIT
//
// What the commands for operators are told: the balancer to ask, and how to answer. Plain data.
#pragma once

#include <optional>
#include <string>

namespace lemonade::cli {

struct Options {
  std::optional<std::string> admin;       ///< where the balancer answers; "": chosen by the next
  std::optional<std::string> config;      ///< a configuration that says so
  std::optional<std::string> token_file;  ///< holds the token to send
  bool json = false;                      ///< answers as they come
};

/// What to do with a backend.
struct Control {
  std::string action;   ///< "drain", "enable", "disable", "weight", "max_connections"
  std::string backend;  ///< "POOL/BACKEND", or "BACKEND" of the only pool that has it
  std::optional<std::string> value;
  std::optional<std::string> lasting;  ///< "10m"
  bool persist = false;                ///< the line for the file is asked for
};

}  // namespace lemonade::cli
