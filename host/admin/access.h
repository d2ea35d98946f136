// SPDX-License-Identifier: MIT
//
// Whom the admin listener answers, who asks for no password. A page in an operator's browser must not reach it: neither
// by a name of its own that it lets resolve to this machine (DNS rebinding), nor by sending a form here.
//
// Immutable; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "admin/request_head.h"

namespace lemonade::admin {

struct Refusal {
  int status = 403;
  std::string message;  ///< says why, and what to set
};

class Access {
 public:
  /// names: what this listener is called besides its addresses and "localhost", as "name" for every port or
  /// "name:port".
  explicit Access(const std::vector<std::string>& names = {});

  /// Nothing where the request may be answered.
  std::optional<Refusal> refusal(const RequestHead& head) const;

 private:
  std::vector<std::string> names_;  // in lower case
};

}  // namespace lemonade::admin
