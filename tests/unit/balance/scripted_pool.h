// SPDX-License-Identifier: MIT
//
// A pool with strategies made from tables in this process: no shared object is needed.
#pragma once

#include "balance/pool.h"

#include <catch2/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lemonade {

/// A strategy whose pick is a lambda of the test.
struct Scripted {
  std::function<std::uint32_t(const lemonade_connection_t&, const lemonade_view_t&, const void*)> pick;
  int released = 0;
  int lanes = 0;
  int most_lanes = 100;
  bool destroyed = false;
  bool refuse_prepare = false;
  std::uint32_t wanted = LEMONADE_EVENT_CLOSED;
  std::uint32_t needs = 0;
  std::vector<lemonade_strategy_event_t> events;

  static Scripted& of(void* self) { return *static_cast<Scripted*>(self); }

  lemonade_strategy_t table() {
    lemonade_strategy_t t{};
    t.struct_size = sizeof(t);
    t.events = wanted;
    t.needs = needs;
    t.create = [](const lemonade_host_t*, const lemonade_options_t*, void**, lemonade_error_t*) noexcept {
      return lemonade_status_t{LEMONADE_OK};
    };
    t.destroy = [](void* self) noexcept { of(self).destroyed = true; };
    t.lane_create = [](void* self, std::uint32_t, void** lane, lemonade_error_t*) noexcept {
      if (of(self).lanes == of(self).most_lanes) return lemonade_status_t{LEMONADE_ERROR_LIMIT};
      ++of(self).lanes;
      *lane = self;
      return lemonade_status_t{LEMONADE_OK};
    };
    t.lane_destroy = [](void* self, void*) noexcept { --of(self).lanes; };
    t.prepare = [](void* self, const lemonade_view_t* view, void** prepared, lemonade_error_t*) noexcept {
      if (of(self).refuse_prepare) return lemonade_status_t{LEMONADE_ERROR_FAILED};
      *prepared = const_cast<lemonade_view_t*>(view);
      return lemonade_status_t{LEMONADE_OK};
    };
    t.release = [](void* self, void*) noexcept { ++of(self).released; };
    t.pick = [](void* self, void*, const void* prepared, const lemonade_connection_t* connection,
                const lemonade_view_t* view, std::uint64_t* cookie) noexcept {
      *cookie = 42;
      return of(self).pick(*connection, *view, prepared);
    };
    t.event = [](void* self, void*, const lemonade_strategy_event_t* event) noexcept {
      of(self).events.push_back(*event);
    };
    return t;
  }
};

/// A pool of three backends with such a strategy.
struct ScriptedPool {
  ScriptedPool() {
    scripted.pick = [](const auto&, const auto& view, const void*) { return view.eligible[0]; };
    use(scripted, 7);
    for (const char* id : {"a", "b", "c"}) backends.push_back(backend(id));
    pool.setBackends(backends);
    pool.publish();
  }

  static std::shared_ptr<Backend> backend(const std::string& id) {
    return std::make_shared<Backend>(config::Backend{.id = id, .name = id, .host = "127.0.0.1", .port = 80},
                                     *Address::parse("127.0.0.1:80"), 1);
  }
  std::shared_ptr<Strategy> make(Scripted& strategy, std::uint64_t generation) {
    tables.push_back(std::make_unique<lemonade_strategy_t>(strategy.table()));
    auto made =
        Strategy::make(Strategy::Instance(*tables.back(), &strategy, {"scripted", "1", "", generation}, nullptr), 1);
    REQUIRE(made);
    return made.value();
  }
  void use(Scripted& strategy, std::uint64_t generation) { pool.setStrategy(make(strategy, generation)); }
  Picked pick(const Tried& tried = {}) {
    lemonade_connection_t connection{};
    connection.struct_size = sizeof(connection);
    return pool.pick(connection, tried);
  }

  /// As control does it; returns how much is left.
  std::size_t reclaim() { return quiescence.reclaim() + pool.reclaim(); }

  std::vector<std::unique_ptr<lemonade_strategy_t>> tables;
  Scripted scripted;
  Scripted other;
  Quiescence quiescence{1};
  Pool pool{"default", quiescence, 1};
  View::Backends backends;
};

}  // namespace lemonade
