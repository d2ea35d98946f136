// SPDX-License-Identifier: MIT
//
// Where a worker is asked by the kernel, and hears of flows: has its event loop wait for the queue of first packets and
// for the events of conntrack, and hands both to the flows. Where exchanges of flows are timed it looks at the times.
// Worker thread only, but for construction.
#pragma once

#include "base/clock.h"
#include "kernel/exchange_times.h"
#include "proxy/event_loop.h"
#include "proxy/flow_exchanges.h"
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
      : loop_(loop), clock_(clock), flows_(worker, mailbox, clock), exchanges_(worker) {}
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
  /// From now on exchanges are timed by these, which are taken, until close(); null: no more. Throws std::bad_alloc,
  /// and has then taken nothing.
  void time(std::unique_ptr<kernel::ExchangeTimes>& times);

  /// Handles what is due.
  void handleDue(std::uint64_t now) noexcept;
  /// By when handleDue is to be called, monotonic nanoseconds; 0 where nothing is under way.
  std::uint64_t nextDue() const noexcept;

  FlowSet& flows() noexcept { return flows_; }

 private:
  /// While nothing stirs an answer is waited for; what is asked and not answered is found so late.
  static constexpr std::uint64_t kIdleLook = 1'000'000'000;

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
  struct Answers final : Guest {
    explicit Answers(FlowDoor& of) : door(of) {}
    void handleReady(std::uint32_t) noexcept override { door.lookAtExchanges(); }
    FlowDoor& door;
  };

  void timeNoMore() noexcept;
  void lookAtExchanges() noexcept;
  bool awaitAnswers() noexcept;

  void closeIfOver() noexcept;

  EventLoop& loop_;
  const Clock& clock_;
  std::unique_ptr<KernelGate> gate_;
  bool gives_way_ = false;
  FlowSet flows_;  // which lets go of them before the gate goes
  std::unique_ptr<kernel::ExchangeTimes> times_;
  FlowExchanges exchanges_;
  std::uint64_t look_at_ = 0;  // at exchanges, next; 0: they are not timed
  bool awaiting_ = false;      // the loop waits for an answer
  Questions questions_{*this};
  News news_{*this};
  Answers answers_{*this};
};

}  // namespace lemonade::proxy
