// SPDX-License-Identifier: MIT
#include "proxy/relays.h"

#include "base/log.h"
#include "proxy/epoll_relay.h"
#include "proxy/uring_relay.h"

#include <exception>
#include <memory>

namespace lemonade::proxy {

const char* relayName(RelayKind kind) noexcept { return kind == RelayKind::kUring ? "io_uring" : "epoll"; }

std::unique_ptr<Relay> makeRelay(RelayKind kind, Meter& meter) {
  if (kind == RelayKind::kUring) return std::make_unique<UringRelay>(meter);
  return std::make_unique<EpollRelay>(meter);
}

std::string whyNoUring() try {
  auto ring = std::make_unique<Ring>();
  const RingBuffers buffers(*ring);
  ring->enable();
  ring.reset();  // before the buffers
  return "";
} catch (const std::exception& error) {
  return error.what();
}

RelayKind chooseRelay(config::Relay wanted) {
  RelayKind chosen = RelayKind::kEpoll;
  std::string reason = "as configured";
  if (wanted != config::Relay::kEpoll) {
    const std::string obstacle = whyNoUring();
    if (obstacle.empty()) chosen = RelayKind::kUring;
    if (!obstacle.empty())
      reason = "this kernel does not let io_uring be used: " + obstacle;
    else if (wanted == config::Relay::kAuto)
      reason = "the kernel offers it";
  }
  const bool refused = wanted == config::Relay::kUring && chosen != RelayKind::kUring;
  log::write(refused ? log::Level::kWarning : log::Level::kInfo, "proxy", "relay chosen",
             {{"relay", relayName(chosen)}, {"reason", reason}});
  return chosen;
}

}  // namespace lemonade::proxy
