// SPDX-License-Identifier: MIT
//
// Has pools, workers and listeners take a configuration over, as a whole or not at all: everything that can fail is
// made aside before the first change. Control thread only.
#pragma once

#include "app/pool_set.h"
#include "base/inherited_descriptors.h"
#include "base/result.h"
#include "proxy/proxy.h"

#include <cstdint>
#include <vector>

namespace lemonade::app {

struct Preparation;

class Takeover {
 public:
  /// Makes what a preparation that is ok asks for: pools with their strategies, workers, and sockets, of which those
  /// that listen already and those that are inherited stay. Nothing changes for clients. Where the takeover is dropped,
  /// Proxy::reap() ends the workers that are too many. pools and proxy must outlive it.
  static Result<Takeover> stage(Preparation& preparation, PoolSet& pools, proxy::Proxy& proxy,
                                InheritedDescriptors& inherited);

  /// Where clients will be accepted.
  std::vector<Address> addresses() const { return listeners_.addresses(); }
  /// Puts it in force, and has what goes drain. preparation is the one that it was made from. Does not fail, unless
  /// memory is out.
  void use(const Preparation& preparation, proxy::DrainTime drain) &&;

 private:
  Takeover(PoolSet& pools, proxy::Proxy& proxy, std::uint32_t workers, PoolSet::Staged staged,
           proxy::Proxy::Opened listeners);

  PoolSet& pools_;
  proxy::Proxy& proxy_;
  std::uint32_t workers_;
  PoolSet::Staged staged_;
  proxy::Proxy::Opened listeners_;
};

}  // namespace lemonade::app
