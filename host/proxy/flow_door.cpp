// SPDX-License-Identifier: MIT
#include "proxy/flow_door.h"

#include <poll.h>

#include <utility>

namespace lemonade::proxy {

void FlowDoor::open(std::unique_ptr<KernelGate>& gate) {
  close();
  loop_.addGuest(gate->events().fd(), POLLIN, news_, EventLoop::Wake::kEach);
  try {
    loop_.addGuest(gate->queue().fd(), POLLIN, questions_, EventLoop::Wake::kEach);
  } catch (...) {
    loop_.removeGuest(gate->events().fd());
    throw;
  }
  gate_ = std::move(gate);
  flows_.open(*gate_);
}

void FlowDoor::close() noexcept {
  if (gate_ == nullptr) return;
  if (!std::exchange(gives_way_, false)) loop_.removeGuest(gate_->queue().fd());
  loop_.removeGuest(gate_->events().fd());
  flows_.letGo();
  gate_.reset();
}

void FlowDoor::giveWay() noexcept {
  if (gate_ == nullptr || std::exchange(gives_way_, true)) return;
  loop_.removeGuest(gate_->queue().fd());
  gate_->stopAnswering();
  flows_.giveWay();
  closeIfOver();
}

void FlowDoor::handleDue(std::uint64_t now) noexcept {
  flows_.handleDue(now);
  closeIfOver();
}

void FlowDoor::closeIfOver() noexcept {
  if (gives_way_ && flows_.size() == 0) close();
}

void FlowDoor::Questions::handleReady(std::uint32_t) noexcept {
  door.gate_->queue().read([this](const kernel::QueuedPacket& packet) { door.flows_.handlePacket(packet); });
}

void FlowDoor::News::handleReady(std::uint32_t) noexcept {
  const bool lost =
      door.gate_->events().read([this](const kernel::FlowEvent& event) { door.flows_.handleEvent(event); });
  door.flows_.closeEnding();
  if (!lost) return door.closeIfOver();
  // What is still there to read is older than what is looked at next, and until then the kernel tells of no further
  // loss.
  for (bool more = true; more;) {
    more = false;
    (void)door.gate_->events().read([&more](const kernel::FlowEvent&) { more = true; });
  }
  door.flows_.handleLoss();
  door.closeIfOver();
}

}  // namespace lemonade::proxy
