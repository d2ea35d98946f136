// SPDX-License-Identifier: MIT
//
// What a name of a backend comes to: plain data.
#pragma once

#include "balance/address.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lemonade {

/// One host that a name leads to: the name itself, or one of the hosts that the records of a service list.
struct Target {
  std::string host;
  std::uint16_t port = 0;            ///< as the next two: of a service's record, else 0
  std::uint16_t priority = 0;        ///< lower ones come first
  std::uint16_t weight = 0;          ///< its share among equal priorities; 0 is little rather than nothing
  std::vector<Address> addresses{};  ///< without a port; sorted, each once
  std::vector<int> unlearnt{};       ///< AF_INET, AF_INET6: families of which no server said anything

  friend bool operator==(const Target&, const Target&) = default;
};

/// What asking for a name came to.
struct Resolution {
  enum class Outcome {
    kFound,
    kNotFound,   ///< the name has no address, or the service no host
    kTemporary,  ///< nothing was learnt, such as after SERVFAIL: keep what was known and ask again
  };

  Outcome outcome = Outcome::kNotFound;
  std::vector<Target> targets{};  ///< of kFound: at least one; those of a service by priority, host and port
  std::string error{};            ///< otherwise: one sentence that names the host
  std::string left_out{};         ///< of kFound: what of the answer is not used, and why; "" where all is

  bool ok() const noexcept { return outcome == Outcome::kFound; }
};

}  // namespace lemonade
