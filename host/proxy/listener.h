// SPDX-License-Identifier: MIT
//
// A listener: where clients come in. It has a name, sockets, live settings, a limit of clients, and leads to one pool,
// which control may change: a session has the pool to which its listener led when the session began.
//
// The proxy owns it. A listener that a reload removes lives on until its last session has ended and no worker can reach
// it.
#pragma once

#include "balance/counters.h"
#include "balance/per_worker.h"
#include "balance/pool.h"
#include "config/config.h"
#include "proxy/admission.h"
#include "proxy/flow.h"
#include "proxy/listener_settings.h"
#include "proxy/listening_socket.h"
#include "proxy/session.h"

#include <boost/intrusive/list.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace lemonade::proxy {

class Listener;

/// A listener as the configuration has it, and what its texts came to.
struct ListenerSpec {
  std::shared_ptr<const config::Listener> config;  ///< not null
  std::vector<Address> addresses;
  UnixAccess unix_access;  ///< of those of its addresses that are Unix sockets
  Pool* pool = nullptr;    ///< which Proxy::attach() knows; it lives until Proxy::isUnused()
};

/// What one worker has to do with one listener. It belongs to the listener.
struct ListenerAtWorker {
  ListenerCounters counters;

  /// The worker wants to be woken when there is room for a client. Whoever wakes it for that writes false. Any thread.
  alignas(64) std::atomic<bool> wants_room{false};

  // Worker thread only.
  const Listener* listener = nullptr;                ///< whose this is, once it has had a session
  std::uint32_t relayed = 0;                         ///< sessions of the listener here; flows are not among them
  SessionList relaying;                              ///< those of which no side has ended
  SessionList ending;                                ///< those that relay, and of which one side has ended or failed
  std::uint64_t next_look = 1;                       ///< for peers that are silent, monotonic nanoseconds
  boost::intrusive::list_member_hook<> active_hook;  ///< linked while it has sessions
  FlowList half_open;                                ///< flows, by the time at which their first packet was sent
  boost::intrusive::list_member_hook<> flows_hook;   ///< linked while it has half open flows
};

class Listener {
 public:
  using Sockets = ListeningSocket::Sockets;
  using Wake = std::function<void(std::uint32_t worker)>;

  /// Without sockets. wake is called on worker threads and must not block.
  Listener(const ListenerSpec& spec, std::uint32_t workers, Wake wake);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Constant after construction.
  const std::string& name() const noexcept { return name_; }

  // ---- control thread ----

  /// Takes over all of it but name, addresses and the limit. Sessions that there are keep their pool.
  void apply(const ListenerSpec& spec) noexcept;
  void setSockets(Sockets sockets) { sockets_ = std::move(sockets); }
  const Sockets& sockets() const noexcept { return sockets_; }
  void addWorkers(std::uint32_t workers) { at_workers_.grow(workers); }
  /// How many clients the configuration allows; the limit of the admission is lower where descriptors are short.
  void setMaxConnections(std::uint32_t most) noexcept { max_connections_ = most; }
  std::uint32_t maxConnections() const noexcept { return max_connections_; }
  /// The configuration has it no more.
  void setRemoved() noexcept { removed_.store(true, std::memory_order_relaxed); }
  /// Counts for how long max_connections is reached, and says that it is no longer, once that is so for a while. To be
  /// called a few times a second.
  void watchLimit(std::uint64_t now);

  // ---- any thread ----

  /// The kernel forwards for its clients: nobody accepts them.
  bool isForwardedByKernel() const noexcept { return by_kernel_.load(std::memory_order_relaxed); }
  /// Clients must send a PROXY header first.
  bool readsHeaders() const noexcept { return reads_headers_.load(std::memory_order_relaxed); }
  /// As apply() had it last. It takes a lock: what each session reads is in settings().
  std::shared_ptr<const config::Listener> config() const noexcept {
    const std::lock_guard lock(config_mutex_);
    return config_;
  }
  ListenerSettings& settings() noexcept { return settings_; }
  const ListenerSettings& settings() const noexcept { return settings_; }
  /// Where new sessions go.
  Pool& pool() const noexcept { return *pool_.load(std::memory_order_acquire); }
  Admission& admission() noexcept { return admission_; }
  const Admission& admission() const noexcept { return admission_; }
  bool isRemoved() const noexcept { return removed_.load(std::memory_order_relaxed); }
  /// The counters of each worker that there ever was.
  std::vector<const ListenerCounters*> counters() const;
  /// How long max_connections was reached; watchLimit() finds out.
  std::uint64_t fullNs() const noexcept { return full_ns_.value(); }
  /// What a worker has to do with this listener.
  ListenerAtWorker& at(std::uint32_t worker) noexcept { return at_workers_[worker]; }

 private:
  void offerRoom() noexcept;

  ListenerSettings settings_;  // first: what each turn of a session reads
  std::atomic<Pool*> pool_;
  std::atomic<bool> reads_headers_{false};
  std::atomic<bool> by_kernel_{false};
  std::atomic<bool> removed_{false};
  const std::string name_;
  const Wake wake_;
  PerWorker<ListenerAtWorker> at_workers_;

  mutable std::mutex config_mutex_;
  std::shared_ptr<const config::Listener> config_;

  // Control thread only.
  Sockets sockets_;
  std::uint32_t max_connections_;
  std::uint64_t room_since_ns_ = 0;   // after max_connections was reached; 0: it still is, or never was
  std::uint64_t waited_before_ = 0;   // clients, until it was reached
  std::uint64_t looked_full_ns_ = 0;  // when it was found reached by the last look; 0: it was not
  Counter full_ns_;                   // written here, read by any thread

  alignas(64) std::atomic<std::uint32_t> next_offered_{0};  // any worker
  Admission admission_;
};

}  // namespace lemonade::proxy
