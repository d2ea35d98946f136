// SPDX-License-Identifier: MIT
//
// One run of a scenario in virtual time: clients come, balancers place them, servers answer. Deterministic by its seed.
// Clients wait for an answer for at most 3 s and a refused one is tried on two more backends, as in the real scenarios.
// One thread.
#pragma once

#include "simulation/balancer.h"
#include "simulation/result.h"
#include "simulation/scenario.h"
#include "simulation/server.h"
#include "simulation/strategies.h"
#include "simulation/timeline.h"

#include <memory>
#include <string>
#include <vector>

namespace lemonade::sim {

class World final : private Inside {
 public:
  World(const Scenario& scenario, Strategies& strategies, const std::string& strategy, std::uint64_t seed);

  /// Runs to the end. Once.
  Result run();

 private:
  static constexpr std::uint32_t kNone = ~0u;

  struct Session {
    std::uint32_t balancer = 0;
    std::uint32_t client = 0;
    std::uint32_t use = 0;  // grows when the place in the list gets another session or request
    Picked picked;
    Backend* backend = nullptr;     // the picked one, while there is a place there
    std::uint64_t due = 0;          // of the request under way
    std::uint64_t exchange_at = 0;  // 0: nothing waits
    std::uint64_t attempted_at = 0;
    std::uint64_t ends_at = 0;            // of a long session; 0: one request
    std::uint32_t requests_left = 0;      // of a long session that counts them
    std::uint32_t on_its_way_to = kNone;  // the server to which its first request is under way
    double gap_ns = 0;
    double work_ns = 0;  // of the request, or of a long session the mean
    Tried tried;
    Trial::Part trial;
    std::uint32_t attempts = 0;
    std::uint64_t connected_at = 0;  // 0: not yet
    bool answered = false;
    bool doomed = false;  // its server resets it
    bool live = false;
    bool connected() const noexcept { return connected_at != 0; }
  };

  void handle(const Event& event);
  void arrive(const Event& event);
  std::uint32_t newSession();
  void place(std::uint32_t id);
  void connected(std::uint32_t id);
  void ask(std::uint32_t id);
  void jobDone(const Event& event);
  void answered(std::uint32_t id);
  void lost(std::uint32_t id, bool by_backend);
  void doubt(Session& session);
  bool isDoomed(const Server& server);
  void look(const Event& event);
  void end(std::uint32_t id);
  void act(const Step& step);
  void check(const Event& event);
  void keepRamping(std::uint32_t balancer);
  double drawWork();
  void setOut(Session& session);
  void arriveAt(Session& session);
  void queue(std::uint32_t server, const Server::Job& job);

  // Inside, of the request that is being placed.
  double workLeftNs(std::uint32_t server) const override;
  double takesNs(std::uint32_t server) const override { return placing_ns_ * servers_[server].slowness(); }
  double slowness(std::uint32_t server) const override;
  std::uint32_t inFlight(std::uint32_t server) const override;
  double lastServiceNs(std::uint32_t server) const override { return servers_[server].lastServiceNs(); }
  double latencyNs(std::uint32_t server) const override { return servers_[server].latencyNs(); }
  void probe(std::uint32_t server) override;
  std::uint32_t servers() const override { return scenario_.servers; }
  std::uint32_t balancers() const override { return scenario_.balancers; }

  void tell(const Session& session, std::uint32_t type, std::uint64_t value_ns) const {
    balancers_[session.balancer]->tell(type, session.picked, value_ns, timeline_.now());
  }
  bool counts(const Session& session) const noexcept { return session.due >= measure_from_; }
  std::uint32_t serverOf(const Session& session) const {
    return balancers_[session.balancer]->serverOf(*session.backend);
  }

  const Scenario scenario_;
  Random random_, picks_;
  Timeline timeline_;
  const std::uint64_t start_, end_, measure_from_;
  std::vector<Server> servers_;
  std::vector<double> on_their_way_ns_;  // work that was placed at each server and is not there yet
  double placing_ns_ = 0;
  std::vector<std::unique_ptr<Balancer>> balancers_;
  std::vector<bool> ramp_planned_;
  std::vector<Session> sessions_;
  std::vector<std::uint32_t> free_;
  Result result_;
};

/// So many runs with seeds from `seed` on, counted together.
Result runAll(const Scenario& scenario, Strategies& strategies, const std::string& strategy, std::uint64_t seed,
              std::uint64_t runs);

/// The highest load of a scenario, 0.6 to 1.2 in steps of 0.02, up to which one request in a thousand takes at most ten
/// times as long as one in a hundred does where servers are idle, and at most one in ten thousand fails; 0: not even
/// the lowest.
double frontier(const Scenario& scenario, Strategies& strategies, const std::string& strategy, std::uint64_t seed,
                std::uint64_t runs);

}  // namespace lemonade::sim
