// SPDX-License-Identifier: MIT
//
// From whom a listener takes headers of the PROXY protocol. Immutable once made; any thread.
#pragma once

#include "balance/proxy_header.h"
#include "config/network.h"

#include <algorithm>
#include <vector>

namespace lemonade::proxy {

struct HeaderPolicy {
  ProxyVersions versions = ProxyVersions::kBoth;
  std::vector<config::Network> trusted;  ///< only these may connect, and each must send a header first

  bool trusts(const Address& peer) const noexcept {
    return std::any_of(trusted.begin(), trusted.end(), [&](const auto& one) { return one.contains(peer.get()); });
  }
};

}  // namespace lemonade::proxy
