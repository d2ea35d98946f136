// SPDX-License-Identifier: MIT
//
// Whom the admin listener answers. It tells everybody who reaches it how the balancer is; whoever wants to change
// something comes from this machine, by the Unix socket, or has a token. A page in an operator's browser must not reach
// it: neither by a name of its own that it lets resolve to this machine (DNS rebinding), nor by sending a form here.
//
// Immutable; any thread.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "admin/peer.h"
#include "admin/request_head.h"
#include "admin/tokens.h"

namespace lemonade::admin {

struct Refusal {
  int status = 403;     ///< 401 where a token is missing or wrong
  std::string message;  ///< says why, and what to set
};

/// What is asked of who wants to change something.
struct Demand {
  Tokens tokens = {};
  bool token_file = false;   ///< there is one, though it may be empty
  bool of_loopback = false;  ///< clients of this machine need a token, too; those of the Unix socket never do
};

class Access {
 public:
  /// names: what this listener is called besides its addresses and "localhost", as "name" for every port or
  /// "name:port".
  explicit Access(const std::vector<std::string>& names = {}, Demand demand = {});

  /// Who asks, in words for the log; or why the request is not answered.
  std::variant<std::string, Refusal> judge(const RequestHead& head, const Peer& peer) const;
  /// What is wrong with its Host and its Origin, whoever asks; nothing where nothing is.
  std::optional<Refusal> refusal(const RequestHead& head) const;

 private:
  std::variant<std::string, Refusal> authorize(const RequestHead& head, const Peer& peer) const;

  std::vector<std::string> names_;  // in lower case
  Demand demand_;
};

}  // namespace lemonade::admin
