// SPDX-License-Identifier: MIT
//
// The data plane as one thing: listeners, workers and the connection limit they share. Control thread only, but for the
// numbers.
#pragma once

#include "base/result.h"
#include "proxy/admission.h"
#include "proxy/listener.h"
#include "proxy/settings.h"
#include "proxy/worker.h"

#include <functional>
#include <memory>
#include <vector>

namespace lemonade::proxy {

class Proxy {
 public:
  using Listeners = std::vector<std::shared_ptr<const Listener>>;

  /// One worker for each lane of the pool, which must outlive the proxy.
  Proxy(Pool& pool, std::uint32_t max_connections);
  /// Closes what is left and joins the workers.
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  Settings& settings() noexcept { return settings_; }
  const Admission& admission() const noexcept { return admission_; }
  void setMaxConnections(std::uint32_t limit) { admission_.setLimit(limit); }

  /// Bound sockets for all addresses, or none: those that listen already are taken over, the others are opened.
  Result<Listeners> open(const std::vector<Address>& addresses, std::uint32_t backlog) const;
  /// Listens there and nowhere else. Clients that wait at a listener that goes are taken in first.
  void listen(Listeners listeners);
  const Listeners& listeners() const noexcept { return listeners_; }
  /// Brings backlog and keep-alive of the sockets that listen up to the settings.
  void tuneListeners(std::uint32_t backlog) const noexcept;

  /// Starts the workers.
  void start();

  /// Ends the sessions of backends that left, which no pick may give out any more, in time.
  void drain(const std::vector<std::shared_ptr<Backend>>& backends, DrainTime time);
  /// Begins to drain as a whole: no new clients; those already connected are taken in; sessions end in time. Calls empty
  /// on a worker's thread, or at once, when no session is left.
  void drain(DrainTime time, std::function<void()> empty);
  /// Ends every session that is left, waits for it, and ends the workers.
  void stop();

  /// Has every worker pass a quiescent point soon, also an idle one. Any thread.
  void wake() noexcept;

  /// Sessions now. Any thread.
  std::uint32_t sessions() const noexcept { return admission_.taken(); }
  /// The counters of each worker. Any thread.
  std::vector<const ProxyCounters*> counters() const;

 private:
  /// Runs task on every worker and returns when all have run it.
  void runOnAll(const std::function<void(Worker&)>& task);

  Pool& pool_;
  Settings settings_;
  Admission admission_;
  Listeners listeners_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::function<void()> empty_;
  bool started_ = false;
};

}  // namespace lemonade::proxy
