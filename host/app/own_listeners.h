// SPDX-License-Identifier: MIT
//
// Whether an address leads back to this balancer: a backend there would have each client come again as a client of its
// own, until max_connections are used up by one.
#pragma once

#include "balance/address.h"

#include <vector>

namespace lemonade::app {

/// Addresses that are listened on, and those of this machine at the time it was made. A plain value; any thread.
class OwnListeners {
 public:
  explicit OwnListeners(std::vector<Address> listeners);

  /// True where a connection to target would reach one of them.
  bool reachedBy(const Address& target) const;

 private:
  bool isOwn(const Address& host) const;

  const std::vector<Address> listeners_;
  std::vector<Address> interfaces_;  // with port 0
};

}  // namespace lemonade::app
