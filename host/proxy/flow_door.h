// SPDX-License-Identifier: MIT
//
// Where a worker is asked by the kernel, and hears of flows: has its event loop wait for the queue of first packets and
// for the events of conntrack, and hands both to the flows. Worker thread only, but for construction.
#pragma once

#include "base/clock.h"
#include "proxy/event_loop.h"
#include "proxy/flow_gate.h"
#include "proxy/flow_set.h"

#include <cstdint>
#include <memory>

namespace lemonade::proxy {

struct Mailbox;

class FlowDoor {
 public:
  /// All of these must outlive this.
  FlowDoor(std::uint32_t worker, EventLoop& loop, Mailbox& mailbox, const Clock& clock)
      : loop_(loop), flows_(worker, mailbox, clock) {}
  ~FlowDoor() { close(); }
  FlowDoor(const FlowDoor&) = delete;
  FlowDoor& operator=(const FlowDoor&) = delete;

  /// Begins to answer, and takes the gate. Throws std::bad_alloc, and has then taken nothing.
  void open(std::unique_ptr<KernelGate>& gate);
  /// Answers no more, and lets go of every flow.
  void close() noexcept;
  /// The same, for another process that is asked from now on. Flows that no backend has answered yet are let go of once
  /// one has, or has not.
  void giveWay() noexcept;
  /// Handles what is due.
  void handleDue(std::uint64_t now) noexcept;

  FlowSet& flows() noexcept { return flows_; }

 private:
  struct Questions final : Guest {
    explicit Questions(FlowDoor& of) : door(of) {}
    void handleReady(std::uint32_t) noexcept override;
    FlowDoor& door;
  };
  struct News final : Guest {
    explicit News(FlowDoor& of) : door(of) {}
    void handleReady(std::uint32_t) noexcept override;
    FlowDoor& door;
  };

  void closeIfOver() noexcept;

  EventLoop& loop_;
  std::unique_ptr<KernelGate> gate_;
  bool gives_way_ = false;
  FlowSet flows_;  // which lets go of them before the gate goes
  Questions questions_{*this};
  News news_{*this};
};

}  // namespace lemonade::proxy
