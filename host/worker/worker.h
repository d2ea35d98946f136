// SPDX-License-Identifier: MIT
//
// A small but real HTTP backend on POCO's HTTP server, to try the balancer with: it names itself in every answer.
//   GET /health   {"status":"ok","worker":"worker-1"}
//   GET /work     {"worker":"worker-1","request":17,"delay_ms":20}, after its delay
// Anything else is answered with 404. Connections are kept alive, each on a thread of its own.
//
// One owner calls start() and stop(); requests run on threads of the worker.
#pragma once

#include "base/result.h"
#include "worker/worker_options.h"

#include <cstdint>
#include <memory>
#include <string>

namespace lemonade::worker {

class Worker {
 public:
  explicit Worker(WorkerOptions options);
  /// As stop().
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Listens and answers; fails where the address cannot be bound. Once.
  Status start();
  /// The address in use, with the port that the system chose; valid after start().
  std::string address() const;
  /// How many requests to /work have arrived, those under way included. Any thread.
  std::uint64_t requests() const noexcept;
  /// Accepts no more, lets requests that are under way end, without the rest of their delay, and closes connections.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lemonade::worker
