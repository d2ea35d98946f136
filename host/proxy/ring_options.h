// SPDX-License-Identifier: MIT
//
// Options of sockets, set along with what else is asked of the kernel where it offers that (Linux 6.7), by a system
// call of their own where it does not. Worker thread only.
#pragma once

#include "proxy/ring.h"

#include <set>

namespace lemonade::proxy {

class RingOptions {
 public:
  /// The kernel reads values in here: it must live for as long as the ring is open.
  explicit RingOptions(Ring& ring) noexcept : ring_(ring) {}

  /// Finds out what the kernel offers. The ring must be enabled.
  void probe() noexcept;
  /// Takes effect with the next wait, or before; an option that the socket refuses is left as it was.
  void set(int fd, int level, int name, int value) noexcept;

 private:
  void ask(int fd, int level, int name, const int& value) noexcept;

  Ring& ring_;
  std::set<int> values_;  // where the kernel reads them
  bool offered_ = false;
};

}  // namespace lemonade::proxy
