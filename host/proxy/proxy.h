// SPDX-License-Identifier: MIT
//
// The data plane as one thing: listeners, workers and the connection limit they share. Control thread only, but for the
// numbers.
#pragma once

#include "balance/quiescence.h"
#include "base/inherited_descriptors.h"
#include "base/result.h"
#include "proxy/admission.h"
#include "proxy/listener.h"
#include "proxy/settings.h"
#include "proxy/worker.h"

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

namespace lemonade::proxy {

class Proxy {
 public:
  using Listeners = Listener::Listeners;

  /// quiescence becomes that of the workers; it and the pool must outlive the proxy.
  Proxy(Quiescence& quiescence, Pool& pool, RelayKind relay, std::uint32_t max_connections);
  /// Closes what is left and joins the workers.
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  Settings& settings() noexcept { return settings_; }
  const Admission& admission() const noexcept { return admission_; }
  void setMaxConnections(std::uint32_t limit) { admission_.setLimit(limit); }

  /// Bound sockets for all addresses, or none: those that listen already, here or by inheritance under the name
  /// "proxy", are taken over, the others are opened.
  Result<Listeners> open(const std::vector<Address>& addresses, std::uint32_t backlog,
                         InheritedDescriptors& inherited) const;
  /// Listens there and nowhere else. Clients that wait at a listener that goes are taken in first.
  void listen(Listeners listeners);
  const Listeners& listeners() const noexcept { return listeners_; }
  /// Brings backlog and keep-alive of the sockets that listen up to the settings.
  void tuneListeners(std::uint32_t backlog) const noexcept;

  /// Makes so many workers and starts their threads, where there are less. They take no clients before start() or
  /// setWorkers(); reap() ends those that come to nothing. The pool has room for them.
  Status prepareWorkers(std::uint32_t count);
  /// Has so many workers serve. Those that are too many take no more clients; their sessions end in time, and then
  /// reap() ends them.
  void setWorkers(std::uint32_t count, DrainTime time);
  /// Ends workers that do not serve and have no sessions; returns how many are left to end.
  std::size_t reap();

  /// Has the workers take clients.
  void start();

  /// Ends the sessions of backends that left or are down, which no pick may give out any more, in time.
  void drain(const std::vector<std::shared_ptr<Backend>>& backends, DrainTime time,
             Drain::Because because = Drain::Because::kLeft);
  /// Begins to drain as a whole: no new clients; those already connected are taken in; sessions end in time. Calls
  /// empty on a worker's thread, or at once, when no session is left.
  void drain(DrainTime time, std::function<void()> empty);
  /// Ends every session that is left, waits for it, and ends the workers. False where a worker hangs in a plugin and is
  /// left behind: the process must then end without destroying this.
  bool stop();

  /// Has every worker pass a quiescent point soon, also an idle one. Any thread.
  void wake() noexcept;

  /// Hears of a worker that has not answered since it was asked, monotonic nanoseconds.
  using Still = std::function<void(std::uint32_t worker, std::uint64_t since_ns)>;
  /// Tells of workers that have not answered the last call, and asks the others anew. One thread at a time, any.
  void look(std::uint64_t now, const Still& still);

  /// Says that max_connections is no longer reached, once that is so for a while. To be called a few times a second.
  void watchLimit(std::uint64_t now);

  /// Sessions now. Any thread.
  std::uint32_t sessions() const noexcept { return admission_.taken(); }
  /// How many workers serve. Any thread.
  std::uint32_t serving() const noexcept { return serving_.load(); }
  /// The counters of each worker that there ever was, those that serve first. Any thread.
  std::vector<const ProxyCounters*> counters() const;

 private:
  /// Runs task on the workers from index `from` up to `to` that run; true when all have run it, false where one does
  /// not come to it within a few seconds. Copies of the task live until then.
  bool runOn(std::uint32_t from, std::uint32_t to, const std::function<void(Worker&)>& task);
  void offerRoom() noexcept;
  void offerPlace(std::uint64_t after) noexcept;
  std::uint32_t most() const noexcept { return static_cast<std::uint32_t>(workers_.size()); }

  Quiescence& quiescence_;
  Pool& pool_;
  const RelayKind relay_;
  Settings settings_;
  Admission admission_;
  Listeners listeners_;
  PerWorker<Mailbox> mailboxes_;
  Sharing sharing_{mailboxes_};
  std::atomic<std::uint32_t> serving_{0};         // written by control
  std::atomic<std::uint32_t> next_offered_{0};    // any worker
  std::vector<std::unique_ptr<Worker>> workers_;  // null where one has ended; from serving_ on they take no clients
  std::function<void()> empty_;
  std::uint64_t room_since_ns_ = 0;  // after max_connections was reached; 0: it still is, or never was
  std::uint64_t waited_before_ = 0;  // clients, until it was reached
  bool started_ = false;
};

}  // namespace lemonade::proxy
