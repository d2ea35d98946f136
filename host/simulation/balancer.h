// SPDX-License-Identifier: MIT
//
// One simulated balancer: the host's own pool, views, backends, feedback and rise/fall, with a strategy from its real
// .so and a clock that it is told. Sockets and workers are not there, and of passive ejection only what concerns
// sessions that fail: strategies are not told of them, since a client may have caused them. A hanging backend is not
// ejected: a strategy shows what it does by itself. One thread.
#pragma once

#include "balance/pool.h"
#include "health/evidence.h"
#include "health/outliers.h"
#include "health/rise_and_fall.h"
#include "simulation/scenario.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace lemonade::sim {

class Balancer {
 public:
  /// number: which of the balancers of the scenario.
  Balancer(const Scenario& scenario, std::uint32_t number, std::shared_ptr<Strategy> strategy, std::uint64_t now_ns);
  ~Balancer() { pool_.clear(); }
  Balancer(const Balancer&) = delete;
  Balancer& operator=(const Balancer&) = delete;

  /// As Pool::pick. client stands for its address.
  Picked pick(const Tried& tried, std::uint32_t client, std::uint64_t random, std::uint64_t now_ns);
  void release(Backend& backend) noexcept { pool_.release(backend); }
  /// Tells the strategy, where it wants to hear of it.
  void tell(std::uint32_t type, const Picked& picked, std::uint64_t value_ns, std::uint64_t now_ns) const noexcept;
  std::uint32_t serverOf(const Backend& backend) const { return servers_.at(&backend); }
  std::uint64_t invalidPicks() const noexcept { return invalid_; }

  /// Counts a check of a server; publishes where it flips its health.
  void check(std::uint32_t server, bool passed, std::uint64_t now_ns);
  /// A session of a server failed before it was answered, which its part in a trial has been told. Where that ejects
  /// the server: after how long to call letBack.
  std::optional<std::uint64_t> doubt(std::uint32_t server, std::uint64_t now_ns);
  void letBack(std::uint32_t server, std::uint64_t now_ns);
  /// A session of a server got its first answer.
  void answered(std::uint32_t server);
  /// One that was ejected: after how long to call letBack.
  struct Ejected {
    std::uint32_t server;
    std::uint64_t for_ns;
  };
  /// Looks for outliers, of which it is to be asked four times a second where the scenario has them ejected.
  std::vector<Ejected> look(std::uint64_t now_ns);
  /// True where the newest view grows old by itself: publish again before long.
  bool ramping() const noexcept { return ramping_; }
  void publish(std::uint64_t now_ns);

 private:
  std::uint64_t eject(std::uint32_t server, std::uint64_t now_ns);

  Quiescence quiescence_{1};
  Pool pool_{"default", quiescence_, 1};
  View::Backends backends_;
  std::unordered_map<const Backend*, std::uint32_t> servers_;
  std::vector<health::RiseAndFall> states_;
  std::vector<health::Evidence> evidence_;  // against each, if it is on trial
  std::vector<std::uint32_t> ejections_;    // of each
  health::Outliers outliers_;
  bool ramping_ = false;
  std::uint64_t invalid_ = 0;
};

}  // namespace lemonade::sim
