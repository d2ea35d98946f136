// SPDX-License-Identifier: MIT
//
// All flows: the connections whose bytes the kernel forwards. The kernel asks about the first packet of each; a backend
// is picked for it as for any session, and from then on the events of conntrack say what becomes of it.
//
// Life of a flow: begin (-> held, for want of a place) -> connecting (-> retrying -> connecting) -> connected -> over.
// A flow that conntrack tells of and that nobody was asked about was forwarded by the table alone, while we could not
// answer, or by the process before: it is taken in as it is.
//
// Until its handshake is complete a flow is half open. Clients that never complete it must not keep others out: where a
// listener is full, the oldest half open flow gives way.
//
// All flows belong to one worker. Worker thread only.
#pragma once

#include "base/clock.h"
#include "kernel/exchange_times.h"
#include "kernel/flow_events.h"
#include "kernel/packet_queue.h"
#include "proxy/drains.h"
#include "proxy/flow.h"
#include "proxy/flow_gate.h"
#include "proxy/flow_meter.h"
#include "proxy/flow_plan.h"
#include "proxy/flow_trials.h"
#include "proxy/picker.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

namespace lemonade::proxy {

class FlowSet {
 public:
  /// Both must outlive this.
  FlowSet(std::uint32_t worker, Mailbox& mailbox, const Clock& clock);
  /// Lets go of every flow.
  ~FlowSet();
  FlowSet(const FlowSet&) = delete;
  FlowSet& operator=(const FlowSet&) = delete;

  /// From now on this is the way to the kernel, until letGo().
  void open(FlowGate& gate) noexcept {
    gate_ = &gate;
    yields_ = gave_way_ = false;
  }
  /// From now on, and in the table already, this is where packets come in and go to. Backends of the plan before that
  /// have flows are in it, too. Clients who wait for a backend where they came in no more are let go of.
  void use(std::shared_ptr<const FlowPlan> plan) noexcept;
  const FlowPlan& plan() const noexcept { return *plan_; }
  /// From now on exchanges are timed there, and a flow that is over waits there no more; null: nowhere.
  void timeBy(kernel::ExchangeTimes* times) noexcept {
    times_ = times;
    trials_.clear();
  }
  /// The flows that take part in trials: those that began since exchanges are timed.
  FlowTrials& trials() noexcept { return trials_; }
  /// Forgets every flow, which the kernel goes on to forward.
  void letGo() noexcept;
  /// Ends every flow for this reason; after giveWay() it forgets them.
  void closeAll(CloseReason reason) noexcept;

  // ---- one process follows another, in this order; see flow_succession.cpp ----

  /// The one before, once another is about to be asked: flows that nobody has asked us about are for that one to count.
  /// With false none is, after all.
  void yield(bool yields) noexcept;
  /// The one after: takes in the flows that there are. counted: the process before lives and counts them until
  /// settle().
  void adopt(bool counted) noexcept;
  /// The one before, which is asked no more: forgets every flow, but those that no backend has answered yet. These it
  /// counts when one does, or does not.
  void giveWay() noexcept;
  /// The one after, now that the one before has given way: counts all flows from here on.
  void settle() noexcept;

  /// The kernel asks where a packet shall go.
  void handlePacket(const kernel::QueuedPacket& packet) noexcept;
  void handleEvent(const kernel::FlowEvent& event) noexcept;
  /// The events that were there have been handled: closes the flows that are over by them. Conntrack is asked what they
  /// have moved, about all of them at once.
  void closeEnding() noexcept;
  /// Events were lost: looks at all entries instead.
  void handleLoss() noexcept;

  /// Handles what is due.
  void handleDue(std::uint64_t now) noexcept;
  /// By when handleDue is to be called, monotonic nanoseconds; 0 where nothing is under way.
  std::uint64_t nextDue() const noexcept;

  /// Has flows end in time, with reason kDrain; none after giveWay().
  void drain(const DrainScope& scope, DrainTime time, Drain::Because because = Drain::Because::kLeft) {
    if (!gave_way_) drains_.add(scope, time, because);
  }
  std::size_t size() const noexcept { return flows_.size(); }

 private:
  using Flows = std::unordered_map<kernel::Tuple, Flow, kernel::TupleHash>;
  using Listeners =
      boost::intrusive::list<ListenerAtWorker,
                             boost::intrusive::member_hook<ListenerAtWorker, boost::intrusive::list_member_hook<>,
                                                           &ListenerAtWorker::flows_hook>>;

  static constexpr std::uint64_t kNotSettled = UINT64_MAX;
  /// How often it is looked whether those that are held have a place: one that a relay gives back is found so late.
  static constexpr std::uint64_t kHeldLook = 20'000'000;
  /// A backend that the table does not have yet is waited for as long, whatever queue_timeout says.
  static constexpr std::uint64_t kTablePatience = 1'000'000'000;
  /// So many are held at most: as many more may wait in the queue to be asked about.
  static constexpr std::size_t kMostHeld = 512;
  /// So many half open flows of a listener are looked at for one that gives way.
  static constexpr int kMostLooked = 64;
  /// So many ended flows are asked about at once.
  static constexpr std::size_t kMostAsked = 32;

  /// Where a flow comes from that is taken in.
  enum class Origin {
    kTable,    ///< the table's weights: nobody was asked, but the process before
    kUnknown,  ///< another process was asked, or nobody
  };

  Flow* find(const kernel::Tuple& tuple) noexcept;
  Flow* make(const kernel::Tuple& tuple, const FlowPlan::Entrance& entrance, Pool& pool, bool counted = false) noexcept;
  bool admit(Listener& listener) noexcept;

  // The first packet
  void handleRepeated(Flow& flow, const FlowPlan::Entrance& entrance, std::uint32_t packet) noexcept;
  void begin(const kernel::Tuple& tuple, const FlowPlan::Entrance& entrance, std::uint32_t packet) noexcept;
  bool place(Flow& flow, std::uint32_t packet) noexcept;
  Picked pick(Flow& flow, Tried& tried) noexcept;
  void take(Flow& flow, const Picked& picked, const ShadowTie& shadow) noexcept;
  bool isReachable(const Flow& flow, const Backend& backend) const noexcept;
  static std::uint32_t retriesOf(const Flow& flow) noexcept {
    return flow.pool->settings().retries.load(std::memory_order_relaxed);
  }
  void send(Flow& flow, std::uint32_t packet, std::uint32_t slot) noexcept;
  std::uint32_t markOf(const Flow& flow, std::uint32_t slot) const noexcept;
  void hold(Flow& flow, std::uint32_t packet) noexcept;
  void refuse(Flow& flow, std::uint32_t packet, CloseReason reason) noexcept;
  void serveHeld() noexcept;
  bool isShutOut(Flow& flow) noexcept;
  void letBy(Flow& flow) noexcept;

  // What conntrack says; see flow_events.cpp
  Flow* takeIn(const kernel::FlowEntry& entry, Origin origin) noexcept;
  bool bind(Flow& flow, const kernel::FlowEntry& entry) noexcept;
  bool isOfLaterPacket(const Flow& flow) noexcept;
  void resume(Flow& flow, const kernel::FlowEntry& entry, bool counted) noexcept;
  void follow(Flow& flow, const kernel::FlowEntry& entry) noexcept;
  void connect(Flow& flow) noexcept;
  void handleReset(Flow& flow, const kernel::FlowEntry& entry) noexcept;
  void handleEarlyReset(Flow& flow, bool by_backend) noexcept;
  void handleGone(Flow& flow, const kernel::FlowEntry& entry) noexcept;
  bool look(Origin origin) noexcept;
  void closeMissing(bool lost) noexcept;
  void hasten(Flow& flow, const kernel::FlowEntry& entry) noexcept;

  // Succession
  bool isCountedBefore(const kernel::FlowEntry& entry) const noexcept;
  bool isUnsettled() const noexcept { return before_until_ == kNotSettled; }
  void letGoOf(Flow& flow) noexcept;

  // When things are due; see flow_times.cpp
  void noteHalfOpen(std::uint64_t at) noexcept;
  void handleHalfOpen(std::uint64_t now) noexcept;
  void handleUnanswered(FlowList& flows, std::uint64_t now) noexcept;
  void handleTimeout(Flow& flow) noexcept;
  void failConnect(Flow& flow, bool refused) noexcept;
  void handleHeld(std::uint64_t now) noexcept;
  void handleDrains(std::uint64_t now) noexcept;
  void count(std::uint64_t now) noexcept;
  std::uint64_t countEvery() const noexcept;
  void noteDue(std::uint64_t at) noexcept {
    if (due_ == 0 || at < due_) due_ = at;
  }

  // Ending
  std::optional<kernel::FlowEntry> entryOf(const Flow& flow) noexcept;
  void cut(Flow& flow, CloseReason reason) noexcept;
  void finish(Flow& flow, CloseReason reason) noexcept;
  void close(Flow& flow, CloseReason reason) noexcept;
  void endTrial(const Flow& flow, CloseReason reason) noexcept {
    if (times_ != nullptr && !trials_.empty()) trials_.end(times_->idOf(*flow.tuple), reason);
  }
  void forgetPlace(Flow& flow) noexcept;
  void enter(Flow& flow, Flow::State state) noexcept;
  void leaveList(Flow& flow) noexcept;
  FlowList& listOf(Flow& flow) noexcept;

  const std::uint32_t worker_;
  const Clock& clock_;
  Picker picker_;
  FlowMeter meter_;
  FlowGate* gate_ = nullptr;
  kernel::ExchangeTimes* times_ = nullptr;
  FlowTrials trials_;
  const std::shared_ptr<const FlowPlan> nowhere_ = std::make_shared<const FlowPlan>();
  std::shared_ptr<const FlowPlan> plan_ = nowhere_;
  std::uint64_t now_ = 0;           // of what is being handled
  std::uint64_t due_ = 0;           // nothing but a drain is due before that; 0: nothing is
  std::uint64_t half_open_at_ = 0;  // when the half open ones are looked at; 0: there are none
  std::uint64_t count_at_ = 0;      // what flows have moved so far, and whose backend is done; 0: there are none
  bool yields_ = false;             // flows that nobody has asked us about are another process's
  bool gave_way_ = false;
  std::uint64_t before_until_ = 0;  // unix nanoseconds: flows that began until then are the process before's to count

  Flows flows_;
  FlowList held_;      // by the time at which they came
  FlowList retrying_;  // by the time at which their packet was sent
  FlowList ending_;
  Listeners half_open_;  // those that have half open flows
  Drains drains_;
};

}  // namespace lemonade::proxy
