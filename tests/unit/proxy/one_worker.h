// SPDX-License-Identifier: MIT
//
// What a worker works with, without a worker: a pool whose strategy does what the test says, a listener that leads to
// it, a relay that touches no network, and time that passes when the test says so.
#pragma once

#include "balance/pool.h"
#include "proxy/listener.h"
#include "proxy/mailbox.h"
#include "proxy/meter.h"
#include "proxy/session_set.h"
#include "support/few_descriptors.h"
#include "support/manual_clock.h"
#include "unit/proxy/scripted_relay.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lemonade::proxy {

/// Takes the first backend that may be picked, or what the test says.
struct FirstOf {
  std::uint32_t instead = 0;  ///< what the strategy answers in place of a backend; 0: a backend
  std::uint32_t local_family = 0;
  std::uint8_t local_byte = 0;  ///< the last of the address that the last client came to

  static const lemonade_strategy_t& table() {
    static const lemonade_strategy_t made = [] {
      lemonade_strategy_t table{};
      table.struct_size = sizeof(table);
      table.needs = LEMONADE_NEED_LOCAL_ADDRESS;
      table.destroy = [](void*) noexcept {};
      table.lane_create = [](void*, std::uint32_t, void**, lemonade_error_t*) noexcept {
        return lemonade_status_t{LEMONADE_OK};
      };
      table.lane_destroy = [](void*, void*) noexcept {};
      table.prepare = [](void*, const lemonade_view_t*, void**, lemonade_error_t*) noexcept {
        return lemonade_status_t{LEMONADE_OK};
      };
      table.release = [](void*, void*) noexcept {};
      table.pick = [](void* self, void*, const void*, const lemonade_connection_t* connection,
                      const lemonade_view_t* view, std::uint64_t*) noexcept {
        auto& strategy = *static_cast<FirstOf*>(self);
        strategy.local_family = connection->local_family;
        strategy.local_byte = connection->local_address[15];
        if (strategy.instead != 0) return strategy.instead;
        for (std::uint32_t i = 0; i < view->eligible_count; ++i)
          if (lemonade_may_pick(connection, view, view->eligible[i]) != 0) return view->eligible[i];
        return std::uint32_t{LEMONADE_PICK_NONE};
      };
      table.event = [](void*, void*, const lemonade_strategy_event_t*) noexcept {};
      return table;
    }();
    return made;
  }
};

/// True where the other end of this socket was closed, whatever it sent before.
inline bool isClosed(int fd) {
  char bytes[4096];
  ssize_t came = 0;
  do came = ::recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  while (came > 0);
  return came == 0 || errno == ECONNRESET;
}

/// Worker 0. The fixture of a test derives from it.
struct OneWorker {
  OneWorker() {
    pool.setStrategy(
        Strategy::make(Strategy::Instance(FirstOf::table(), &strategy, {"first", "1", "", 1}, nullptr), 1).value());
    pool.onPlaceOffered([this](std::uint32_t, PoolAtWorker& at) { mailbox.offers.put(at); });
    listener = makeListener(100);
  }
  ~OneWorker() {
    set.closeAll(CloseReason::kDrain);
    CHECK(relay.sessions.empty());
    CHECK(listener->admission().taken() == 0);
    CHECK(pool.sessions() == 0);
    pool.clear();
  }
  OneWorker(const OneWorker&) = delete;
  OneWorker& operator=(const OneWorker&) = delete;

  /// One that leads to the pool, and lets in so many clients.
  std::shared_ptr<Listener> makeListener(std::uint32_t max_connections, const std::string& name = "default") {
    config::Listener config;
    config.name = name;
    config.max_connections = max_connections;
    return makeListener(config);
  }
  std::shared_ptr<Listener> makeListener(const config::Listener& config) {
    return std::make_shared<Listener>(specOf(config), 1, [this](std::uint32_t) { ++woken; });
  }
  ListenerSpec specOf(const config::Listener& config) {
    return {std::make_shared<const config::Listener>(config), {}, {}, &pool};
  }
  /// The pool has these backends from now on, with at most so many sessions each; 0: any number.
  void backends(const std::vector<std::string>& addresses, std::uint32_t limit = 0) {
    View::Backends all;
    for (const auto& text : addresses) {
      const auto address = *Address::parse(text);
      all.push_back(std::make_shared<Backend>(
          config::Backend{
              .id = text, .name = text, .host = "10.0.0.1", .port = address.port(), .max_connections = limit},
          address, 1));
    }
    backend = all.empty() ? nullptr : all.front();
    pool.setBackends(all);
    pool.publish();
  }
  const PoolCounters& counters() { return pool.at(0).counters; }
  ListenerCounters& listenerCounters() { return listener->at(0).counters; }
  /// How many sessions there are.
  std::size_t count() const { return relay.sessions.size(); }
  std::uint64_t now() const { return clock.nowNs(); }
  /// So much time passes, and the sessions look what is due.
  void pass(Duration time) {
    clock.advance(time);
    set.handleDue(now());
  }

  static constexpr const char* kA = "10.0.0.1:1";
  static constexpr const char* kB = "10.0.0.1:2";

  test::ManualClock clock;
  FirstOf strategy;
  Quiescence quiescence{1};
  Pool pool{"default", quiescence, 1};
  std::shared_ptr<Backend> backend;  ///< the first
  int woken = 0;                     ///< times that the worker was told that there is room
  std::shared_ptr<Listener> listener;
  std::atomic<std::uint32_t> serving{1};
  struct TwoMailboxes : PerWorker<Mailbox> {
    TwoMailboxes() { grow(2); }
  };
  TwoMailboxes mailboxes;  ///< of this worker, and of one that takes no clients until its inbox is opened
  Mailbox& mailbox = mailboxes[0];
  Meter meter{0};
  ScriptedRelay relay;
  SessionSet set{0, relay, meter, serving, mailbox, clock};
};

}  // namespace lemonade::proxy
