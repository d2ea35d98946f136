// SPDX-License-Identifier: MIT
//
// What is true of a running balancer, as its operator's tools would ask: the status and the metrics say it, or one line
// of the log that is written down here and nowhere else. A test whose subject is not the log uses these, so that a line
// may be worded better without breaking it.
#pragma once

#include "support/balancer.h"
#include "support/process.h"

#include <string>

namespace lemonade::test {

/// The state of a backend as /api/v1/status has it: "up", "down", "ejected", "disabled".
std::string stateOf(Balancer& balancer, const std::string& id);
/// Waits until it is in that state; throws TimeoutError.
void waitForState(Balancer& balancer, const std::string& id, const std::string& state, Millis within = 10s);
/// Why the backend is down or ejected, as the status says it; "" of one that is neither.
std::string reasonOf(Balancer& balancer, const std::string& id);

/// Ejections so far.
int ejections(Balancer& balancer);

/// How many reloads have had that result so far: "applied" or "failed".
int reloadCount(Balancer& balancer, const std::string& result);
/// Waits until there are so many; throws TimeoutError.
void waitForReloads(Balancer& balancer, int count, const std::string& result = "applied");

/// The access log's line about the first session that ended, of those from line `from` of the log on; waits for it, and
/// throws TimeoutError.
std::string sessionLine(Balancer& balancer, std::size_t from = 0);

/// Waits until a process that the test started without a Balancer says that it is ready, in a line from the one at
/// index `from`; throws TimeoutError.
void waitUntilReady(Process& process, std::size_t from = 0);
/// The line that says which relay runs and why; waits for it, and throws TimeoutError.
std::string relayLine(Process& process, std::size_t from = 0);
/// Waits until it says that it stops, or has stopped; throws TimeoutError. stops() says how many processes that write
/// this log have stopped: one, but for a supervisor's.
std::string waitUntilStopping(Process& process, std::size_t from = 0);
std::string waitUntilStopped(Process& process);
std::size_t stops(Process& process);
/// Where it listens first for clients, and where its admin listener and a demonstration backend listen; waits for it,
/// and throws TimeoutError.
std::string listenerOf(Process& process, std::size_t from = 0);
std::string adminOf(Process& process, std::size_t from = 0);
std::string demoBackendOf(Process& process);

}  // namespace lemonade::test
