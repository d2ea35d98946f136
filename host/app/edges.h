// SPDX-License-Identifier: MIT
//
// What a configuration says of the edges of the balancer, as the layers below take it: PROXY headers, the files of Unix
// sockets, and the addresses that backends and checks are connected to and from. Control thread.
#pragma once

#include "balance/pool_settings.h"
#include "balance/unix_name.h"
#include "base/result.h"
#include "config/config.h"
#include "health/probe.h"

namespace lemonade::app {

/// The error names the listener's place in the file and the user or group that is unknown.
Result<UnixAccess> unixAccessOf(const config::Listener& listener);
/// Where checks connect to and from, and what they send first.
health::Probe::Route routeOf(const config::Pool& pool);
/// What connects to backends go by.
void applyEdges(const config::Pool& pool, PoolSettings& settings);

}  // namespace lemonade::app
