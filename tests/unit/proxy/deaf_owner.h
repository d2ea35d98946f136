// SPDX-License-Identifier: MIT
//
// The owner of a relay in tests that are not about sessions: it does nothing with what it is told.
#pragma once

#include "proxy/relay.h"

namespace lemonade::proxy {

struct DeafOwner final : Relay::Owner {
  void handleTurn() noexcept override {}
  void handleConnected(Session&) noexcept override {}
  void handleConnectFailed(Session&, int) noexcept override {}
  void handleAbandoned(Session&) noexcept override {}
  void handleActivity(Session&) noexcept override {}
  void handleEnding(Session&, Ending) noexcept override {}
  void handleNoMemory(Session&) noexcept override {}
  void handleDelivery(Session&) noexcept override {}
  void handleParted(Session&, bool) noexcept override {}
};

}  // namespace lemonade::proxy
