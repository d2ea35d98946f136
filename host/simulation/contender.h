// SPDX-License-Identifier: MIT
//
// Strategies of others that ours are measured against. They take part in simulations only: as the host's own strategies
// do, behind the table of the ABI, and with what their servers would tell them.
//
//   nginx          least_time first_byte inflight of nginx 1.31's stream module
//   nginx_plain    the same without inflight
//   c3             Suresh et al., "C3: Cutting Tail Latency in Cloud Data Stores" (NSDI 2015), without its rate control
//   prequal        Wydrowski et al., "Load is not what you should balance" (NSDI 2024), whose probes cost work
//   speeds         knows how fast each server is and how many requests it has, but of no request what it will cost
//   speeds_sure    the same, which goes by mean and standard deviation
//   oracle         knows the work left at each server, and what the request will cost there
#pragma once

#include "balance/strategy.h"
#include "simulation/inside.h"

#include <lemonade/strategy.h>

#include <memory>
#include <string>
#include <vector>

namespace lemonade::sim {

/// A strategy in this process. One thread.
class Contender {
 public:
  virtual ~Contender() = default;
  /// As of the ABI. The index of a backend is the number of its server.
  virtual std::uint32_t pick(const lemonade_connection_t& connection, const lemonade_view_t& view,
                             std::uint64_t& cookie) = 0;
  /// As of the ABI, of the backend with this index.
  virtual void event(const lemonade_strategy_event_t& event, std::uint32_t server) = 0;
};

/// The ids above.
const std::vector<std::string>& contenderIds();
/// The contender of that id behind the table of the ABI, null where there is none. inside must outlive it.
std::shared_ptr<Strategy> makeContender(const std::string& id, Inside& inside);

// Of one file each.
std::unique_ptr<Contender> makeNginx(Inside& inside, bool inflight);
std::unique_ptr<Contender> makeC3(Inside& inside);
std::unique_ptr<Contender> makePrequal(Inside& inside);
std::unique_ptr<Contender> makeSpeeds(Inside& inside, bool sure);

}  // namespace lemonade::sim
