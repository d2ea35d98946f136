// SPDX-License-Identifier: MIT
//
// The flows that take part in trials of their backends (balance/trial.h), where the kernel times exchanges: what it
// tells of their first ones is told to the trial, as Meter does for sessions of relays. Worker thread only.
#pragma once

#include "balance/trial.h"
#include "kernel/exchange_times.h"
#include "proxy/session.h"

#include <cstdint>
#include <unordered_map>

namespace lemonade::proxy {

class FlowTrials {
 public:
  /// A flow, by the name that exchanges have it by, was sent to the backend of that slot by the coin of a trial. Where
  /// memory is out it takes no part.
  void begin(std::uint64_t flow, std::uint32_t slot, Trial::Part part) noexcept;
  /// It was answered, for the first time or again.
  void answered(std::uint64_t flow, std::uint64_t took_ns) noexcept;
  /// Tells trials since when those wait that have not been answered. now is monotonic nanoseconds.
  void look(const kernel::ExchangeTimes& times, std::uint64_t now) noexcept;
  /// It has ended, for this reason, or goes to another backend.
  void end(std::uint64_t flow, CloseReason reason) noexcept;
  /// Nothing more is known of any.
  void clear() noexcept { flows_.clear(); }
  bool empty() const noexcept { return flows_.empty(); }

 private:
  struct Taking {
    Trial::Part part;
    std::uint32_t slot;
    std::uint64_t since = 0;  ///< of which the trial was told last
  };

  std::unordered_map<std::uint64_t, Taking> flows_;
};

}  // namespace lemonade::proxy
