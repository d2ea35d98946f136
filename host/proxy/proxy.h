// SPDX-License-Identifier: MIT
//
// The data plane as one thing: listeners and the workers that serve them. Pools are made by others, and listeners lead
// to them. Control thread only, but for the numbers.
#pragma once

#include "balance/quiescence.h"
#include "balance/session_records.h"
#include "base/clock.h"
#include "base/inherited_descriptors.h"
#include "base/result.h"
#include "kernel/exchange_times.h"
#include "proxy/drains.h"
#include "proxy/flow_gate.h"
#include "proxy/flow_plan.h"
#include "proxy/listener.h"
#include "proxy/parting.h"
#include "proxy/worker.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::proxy {

class Proxy {
 public:
  using Listeners = std::vector<std::shared_ptr<Listener>>;

  /// quiescence becomes that of the workers; it must outlive the proxy.
  Proxy(Quiescence& quiescence, RelayKind relay);
  /// Closes what is left and joins the workers.
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  /// Wakes workers where a place at a backend of the pool becomes free. Once, before a listener leads to the pool,
  /// which must live until isUnused().
  void attach(Pool& pool);
  /// True once no listener leads to the pool, no session has it and no worker can reach it, so that it may be
  /// destroyed. For a pool to which no listener of the configuration leads any more, nor ever will. Where this is
  /// false, the workers are to be woken, and this asked again after Quiescence::reclaim().
  bool isUnused(Pool& pool);

  /// Listeners as a configuration has them, with their sockets.
  struct Opened {
    struct One {
      ListenerSpec spec;
      Listener::Sockets sockets;  ///< of spec.addresses, in their order
    };
    std::vector<One> listeners;

    /// Those really bound, of all listeners.
    std::vector<Address> addresses() const;
  };

  /// Bound sockets for all addresses of all listeners, or none: those that listen already, here for any listener or by
  /// inheritance under the name "proxy", are taken over, the others are opened. Names occur once, and so do addresses
  /// whose port is not 0.
  Result<Opened> open(std::vector<ListenerSpec> specs, InheritedDescriptors& inherited) const;
  /// Has these listeners and no others. Those of a name that is there already change: their new sessions go to the new
  /// pool, and their sockets are tuned. Sessions of listeners that are removed end in time. Clients that wait at a
  /// socket that goes are taken in first. holdTo() counts for the new limits.
  void listen(Opened opened, DrainTime time);
  const Listeners& listeners() const noexcept { return listeners_; }
  /// The sockets of all listeners.
  Listener::Sockets sockets() const;

  /// Lets in so many clients at most, over all listeners: each has its own max_connections where their sum is no more,
  /// and a part of it in proportion otherwise, at least one.
  void holdTo(std::uint32_t clients);
  /// Lets in no more clients than each listener has, until holdTo() is called.
  void holdToPresent();

  /// Makes so many workers and starts their threads, where there are less. They take no clients before start() or
  /// setWorkers(); reap() ends those that come to nothing. Each pool has room for them.
  Status prepareWorkers(std::uint32_t count);
  /// Has so many workers serve. Those that are too many take no more clients; their sessions end in time, and then
  /// reap() ends them.
  void setWorkers(std::uint32_t count, DrainTime time);
  /// Ends workers that do not serve and have no sessions, and frees listeners that were removed and have none; returns
  /// how many of both are left. Where some are, the workers are to be woken, and this called again.
  std::size_t reap();

  /// Has the workers take clients.
  void start();
  /// Another process has had the same sockets and did not come to serve: they are to be as they were. Those of
  /// listeners that the kernel forwards for are to be closed once more.
  void reassert();

  /// Ends the sessions of backends of a pool that left or are down, which no pick may give out any more, in time.
  void drain(const Pool& pool, const std::vector<std::shared_ptr<Backend>>& backends, DrainTime time,
             Drain::Because because = Drain::Because::kLeft);
  /// Has every worker look for quiet sessions that are to part.
  void part(const std::shared_ptr<PartingOrder>& order);
  /// Begins to drain as a whole: no new clients; those already connected are taken in; sessions end in time. Calls
  /// empty on a worker's thread, or at once, when no session is left; perhaps more than once.
  void drain(DrainTime time, std::function<void()> empty);
  /// Ends every session that is left, waits for it, and ends the workers. False where a worker hangs in a plugin and is
  /// left behind: the process must then end without destroying this.
  bool stop();

  // ---- forwarding by the kernel: one worker is asked by it, and has all flows ----

  /// From now on the kernel is answered through this.
  void openFlows(std::unique_ptr<KernelGate> gate);
  /// Where packets come in, and where they may go.
  void useFlows(std::shared_ptr<const FlowPlan> plan);
  /// The kernel forwards what comes to the listeners of that kind. Clients whom a relay has let in until now are served
  /// by it, those among them whose handshake is not complete yet or who wait for room, and then their sockets refuse.
  /// To be called about once a second.
  void closeForwarded();
  /// Answers the kernel no more, and forgets every flow: it goes on to forward them.
  void letGoOfFlows();
  /// Another process is about to be asked in our place, or with false is not, after all; see FlowSet. Returns once the
  /// flows know.
  void yieldFlows(bool yields);
  /// Takes in what the kernel forwards already. counted: the process before counts it until settleFlows().
  void adoptFlows(bool counted);
  /// Answers the kernel no more, another process does, and all is counted that we have to count but for flows that no
  /// backend has answered yet.
  void giveWayWithFlows();
  /// The process before has given way.
  void settleFlows();
  /// Exchanges of flows are timed by these from now on; null: no more.
  void timeFlows(std::unique_ptr<kernel::ExchangeTimes> times);
  /// True where the worker that answers the kernel has moved in this time, in nanoseconds. To be asked about once a
  /// second.
  bool flowsAnswer(std::uint64_t patience_ns);
  /// How many flows there were when it has last moved.
  std::size_t flows() const noexcept { return flow_pulse_->flows; }

  /// Has every worker look at each of its timeouts soon: settings of a pool or a listener have changed.
  void lookAtTimeouts();
  /// Has every worker pass a quiescent point soon, also an idle one. Any thread.
  void wake() noexcept;

  /// Hears of a worker that has not answered since it was asked, monotonic nanoseconds.
  using Still = std::function<void(std::uint32_t worker, std::uint64_t since_ns)>;
  /// Tells of workers that have not answered the last call, and asks the others anew. One thread at a time, any.
  void look(std::uint64_t now, const Still& still);

  /// Whether workers keep records of sessions that end, for forEachRecordLane().
  void wantRecords(bool wanted) noexcept;

  /// Says that max_connections of a listener is no longer reached, once that is so for a while. To be called a few
  /// times a second.
  void watchLimits(std::uint64_t now);

  // ---- any thread ----

  /// Those of the configuration, then those that were removed and still have sessions.
  std::vector<std::shared_ptr<const Listener>> allListeners() const;
  /// Sessions now.
  std::uint32_t sessions() const noexcept;
  /// Sessions now of listeners that relays serve.
  std::uint32_t relayedSessions() const noexcept;
  /// How many clients may come in, over all listeners.
  std::uint32_t maxConnections() const noexcept;
  /// How many workers serve.
  std::uint32_t serving() const noexcept { return serving_.load(); }
  /// The counters of each worker that there ever was, those that serve first.
  std::vector<const WorkerCounters*> counters() const;
  /// The worst lag of each of them of late, in nanoseconds. now is monotonic.
  std::vector<std::uint64_t> lags(std::uint64_t now) const;
  /// Visits the lane of each worker that there ever was.
  void forEachRecordLane(const std::function<void(SessionRecordLane&)>& visit);

 private:
  using Socket = std::shared_ptr<const ListeningSocket>;
  /// From where a worker accepts, and for which listener.
  using Source = std::pair<std::shared_ptr<Listener>, Socket>;

  /// What the worker that has all flows says each time it moves.
  struct FlowPulse {
    std::atomic<std::uint64_t> moved_ns{0};
    std::atomic<std::size_t> flows{0};
  };
  /// A socket of a listener that the kernel forwards for and a relay still accepts from.
  struct Closing {
    Socket socket;
    std::uint64_t at_ns = 0;  ///< no handshake is under way any more
  };

  std::shared_ptr<Listener> find(const std::string& name) const;
  static Socket claim(Listener::Sockets& sockets, const Address& address, const Listener::Sockets* among);
  static Result<Socket> openSocket(const ListenerSpec& spec, const Address& address, Listener::Sockets& unclaimed,
                                   const Listener::Sockets& going, InheritedDescriptors& inherited);
  std::shared_ptr<Listener> makeListener(const ListenerSpec& spec);
  void acceptAll();
  void remove(const Listeners& listeners, DrainTime time);
  /// Where clients are accepted: of relays, and of those that the kernel forwards for where one still listens.
  std::vector<Source> sources() const;
  void shareLimit();
  /// Runs task on the workers from index `from` up to `to` that run; true when all have run it, false where one does
  /// not come to it within a few seconds. Copies of the task live until then.
  bool runOn(std::uint32_t from, std::uint32_t to, const std::function<void(Worker&)>& task);
  void noteEmpty() noexcept;
  std::uint32_t most() const noexcept { return static_cast<std::uint32_t>(workers_.size()); }

  Quiescence& quiescence_;
  const RelayKind relay_;
  PerWorker<Mailbox> mailboxes_;
  Sharing sharing_{mailboxes_, Clock::steady()};
  std::atomic<std::uint32_t> serving_{0};  // written by control
  mutable std::mutex mutex_;               // guards both lists of listeners, which only control changes
  Listeners listeners_;
  Listeners removed_;                             // which still have sessions, or may be reached by a worker
  std::vector<std::unique_ptr<Worker>> workers_;  // null where one has ended; from serving_ on they take no clients
  std::function<void()> empty_;
  std::uint32_t hold_to_ = std::numeric_limits<std::uint32_t>::max();  // clients, over all listeners
  std::vector<Closing> closing_;
  bool hold_present_ = false;  // none but those that there are
  bool started_ = false;
  bool records_wanted_ = false;
  const std::shared_ptr<FlowPulse> flow_pulse_ = std::make_shared<FlowPulse>();
};

/// How many clients each of several listeners may have where there may be `most` in all: the limits themselves where
/// their sum is no more, and parts of them in proportion otherwise, at least 1.
std::vector<std::uint32_t> shareLimits(const std::vector<std::uint32_t>& limits, std::uint32_t most);

}  // namespace lemonade::proxy
