// SPDX-License-Identifier: MIT
//
// A worker: one thread, and in it one Poco reactor that waits in a relay. All that the thread waits for is ready in
// that one place: its sessions, the listening sockets, a timer, and an eventfd by which other threads reach it.
#pragma once

#include "balance/quiescence.h"
#include "base/result.h"
#include "proxy/mailbox.h"
#include "proxy/relays.h"
#include "proxy/sharing.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace lemonade::proxy {

class Acceptor;
class FlowDoor;
class Meter;
class Relay;
class SessionSet;

class Worker {
 public:
  /// The mailbox and the quiescence, which must outlive the worker, know it by its index: until the worker is destroyed
  /// no other may use it. serving is how many workers serve. Throws std::system_error where the relay cannot be made.
  Worker(std::uint32_t index, RelayKind relay, Mailbox& mailbox, Sharing& sharing, Quiescence& quiescence,
         const std::atomic<std::uint32_t>& serving);
  /// Stops and joins the thread; sessions that are left are closed.
  ~Worker();

  /// Sessions now; a worker without listeners gets no more.
  std::uint64_t sessions() const noexcept;

  /// Starts the thread, which takes no clients until it is told of listeners. Fails, and leaves no thread behind, where
  /// there is no memory for it or for what its relay needs. Control thread, as the rest.
  Status start();
  void stop() noexcept;
  bool started() const noexcept;

  /// Runs task soon on the worker's thread, in the order of posting. A task that finds no memory is run again a moment
  /// later, and so must be able to. Any thread.
  void post(std::function<void(Worker&)> task);

  // For posted tasks.
  Acceptor& acceptor() noexcept;
  SessionSet& sessionSet() noexcept;
  FlowDoor& flowDoor() noexcept;

 private:
  class Impl;

  const std::unique_ptr<Meter> meter_;
  const std::unique_ptr<Relay> relay_;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace lemonade::proxy
