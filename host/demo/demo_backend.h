// SPDX-License-Identifier: MIT
//
// A small but real HTTP backend on POCO's HTTP server, to try the balancer with: it names itself in every answer.
//   GET /health   {"status":"ok","worker":"worker-1"}
//   GET /work     {"worker":"worker-1","request":17,"delay_ms":20}, after its delay
// Anything else is answered with 404. Connections are kept alive, each on a thread of its own.
//
// One owner calls start() and stop(); requests run on threads of the demonstration backend.
#pragma once

#include "base/result.h"
#include "demo/demo_options.h"

#include <cstdint>
#include <memory>
#include <string>

namespace lemonade::demo {

class DemoBackend {
 public:
  explicit DemoBackend(DemoOptions options);
  /// As stop().
  ~DemoBackend();
  DemoBackend(const DemoBackend&) = delete;
  DemoBackend& operator=(const DemoBackend&) = delete;

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

}  // namespace lemonade::demo
