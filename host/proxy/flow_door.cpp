// SPDX-License-Identifier: MIT
#include "proxy/flow_door.h"

#include <poll.h>

#include <algorithm>
#include <new>
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
  timeNoMore();
  if (!std::exchange(gives_way_, false)) loop_.removeGuest(gate_->queue().fd());
  loop_.removeGuest(gate_->events().fd());
  flows_.letGo();
  gate_.reset();
}

void FlowDoor::giveWay() noexcept {
  if (gate_ == nullptr || std::exchange(gives_way_, true)) return;
  timeNoMore();
  loop_.removeGuest(gate_->queue().fd());
  gate_->stopAnswering();
  flows_.giveWay();
  closeIfOver();
}

// ---- exchanges -----------------------------------------------------------------------------------------------------

void FlowDoor::time(std::unique_ptr<kernel::ExchangeTimes>& times) {
  timeNoMore();
  if (times == nullptr || gate_ == nullptr) return times.reset();
  loop_.addGuest(times->fd(), POLLIN, answers_, EventLoop::Wake::kEach);
  awaiting_ = true;
  times_ = std::move(times);
  flows_.timeBy(times_.get());
  look_at_ = clock_.nowNs() + kIdleLook;
}

void FlowDoor::timeNoMore() noexcept {
  if (times_ == nullptr) return;
  if (std::exchange(awaiting_, false)) loop_.removeGuest(times_->fd());
  exchanges_.takeBack();
  flows_.timeBy(nullptr);
  times_.reset();
  look_at_ = 0;
}

// While something stirs it is looked every now and then, and not for each answer.
void FlowDoor::lookAtExchanges() noexcept {
  const std::uint64_t now = clock_.nowNs();
  const bool stirs = exchanges_.look(*times_, flows_.plan(), flows_.trials(), now);
  if (!stirs && awaitAnswers()) {
    look_at_ = now + kIdleLook;
    return;
  }
  if (std::exchange(awaiting_, false)) loop_.removeGuest(times_->fd());
  look_at_ = now + FlowExchanges::kLook;
}

/// False where memory is out.
bool FlowDoor::awaitAnswers() noexcept try {
  if (!awaiting_) loop_.addGuest(times_->fd(), POLLIN, answers_, EventLoop::Wake::kEach);
  awaiting_ = true;
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

void FlowDoor::handleDue(std::uint64_t now) noexcept {
  flows_.handleDue(now);
  if (look_at_ != 0 && look_at_ <= now) lookAtExchanges();
  closeIfOver();
}

void FlowDoor::closeIfOver() noexcept {
  if (gives_way_ && flows_.size() == 0) close();
}

std::uint64_t FlowDoor::nextDue() const noexcept {
  const std::uint64_t due = flows_.nextDue();
  return due == 0 || (look_at_ != 0 && look_at_ < due) ? look_at_ : due;
}

void FlowDoor::Questions::handleReady(std::uint32_t) noexcept {
  door.gate_->queue().read([this](const kernel::QueuedPacket& packet) { door.flows_.handlePacket(packet); });
  // Who comes has a request in a moment, and its backend may not answer.
  if (door.awaiting_) door.look_at_ = std::min(door.look_at_, door.clock_.nowNs() + FlowExchanges::kLook);
}

void FlowDoor::News::handleReady(std::uint32_t) noexcept {
  const bool lost =
      door.gate_->events().read([this](const kernel::FlowEvent& event) { door.flows_.handleEvent(event); });
  if (door.times_ != nullptr && !door.flows_.trials().empty())
    door.exchanges_.readAnswers(*door.times_, door.flows_.plan(), door.flows_.trials());
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
