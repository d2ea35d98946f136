// SPDX-License-Identifier: MIT
//
// What a balancer cannot know and a simulation does: for contenders that are told by their servers, and for the oracle.
#pragma once

#include <cstdint>

namespace lemonade::sim {

/// One thread; times are nanoseconds of the virtual clock.
class Inside {
 public:
  /// How long a server works until it is through with all that it has and that is on its way to it; infinity where it
  /// answers nothing.
  virtual double workLeftNs(std::uint32_t server) const = 0;
  /// How long it would work on the request that is being placed.
  virtual double takesNs(std::uint32_t server) const = 0;
  /// How many times as long as a healthy one it takes for whatever it begins with; infinity where it answers nothing.
  virtual double slowness(std::uint32_t server) const = 0;
  /// Requests at a server, whoever sent them.
  virtual std::uint32_t inFlight(std::uint32_t server) const = 0;
  /// How long it worked on the request that it answered last; 0: it answered none.
  virtual double lastServiceNs(std::uint32_t server) const = 0;
  /// What a server that is probed answers: the median time that requests took lately which found about as many there as
  /// there are now; 0: it answered none.
  virtual double latencyNs(std::uint32_t server) const = 0;
  /// A probe costs the server work.
  virtual void probe(std::uint32_t server) = 0;
  virtual std::uint32_t servers() const = 0;
  virtual std::uint32_t balancers() const = 0;

 protected:
  ~Inside() = default;
};

}  // namespace lemonade::sim
