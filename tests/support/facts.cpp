// SPDX-License-Identifier: MIT
//
// What is true of a running balancer: see facts.h.
#include "support/facts.h"

#include "support/deadline.h"

namespace lemonade::test {

std::string stateOf(Balancer& balancer, const std::string& id) {
  return balancer.backend(id)->getValue<std::string>("state");
}

void waitForState(Balancer& balancer, const std::string& id, const std::string& state, Millis within) {
  if (!eventually([&] { return stateOf(balancer, id) == state; }, within))
    throw TimeoutError("backend " + id + " is " + stateOf(balancer, id) + ", and did not become " + state + " in time");
}

std::string reasonOf(Balancer& balancer, const std::string& id) {
  return balancer.backend(id)->optValue<std::string>("reason", "");
}

int ejections(Balancer& balancer) { return static_cast<int>(balancer.metric("lemonade_health_ejections_total")); }

int reloadCount(Balancer& balancer, const std::string& result) {
  return static_cast<int>(balancer.metric("lemonade_config_reloads_total", {"result=\"" + result + "\""}));
}

void waitForReloads(Balancer& balancer, int count, const std::string& result) {
  if (!eventually([&] { return reloadCount(balancer, result) >= count; }))
    throw TimeoutError("there were " + std::to_string(reloadCount(balancer, result)) + " reloads " + result +
                       " in time, not " + std::to_string(count));
}

void waitUntilReady(Process& process, std::size_t from) { (void)process.waitForLog("app: ready", 20s, from); }

std::string sessionLine(Balancer& balancer, std::size_t from) {
  return balancer.process().waitForLog("access: session closed", 10s, from);
}

std::string relayLine(Process& process, std::size_t from) {
  return process.waitForLog("proxy: relay chosen", 10s, from);
}

std::string waitUntilStopping(Process& process, std::size_t from) {
  return process.waitForLog("app: stopping", 10s, from);
}

std::string waitUntilStopped(Process& process) { return process.waitForLog("app: stopped"); }

std::size_t stops(Process& process) { return process.countLog("app: stopped"); }

std::string listenerOf(Process& process, std::size_t from) {
  return field(process.waitForLog("proxy: listening", 20s, from), "address");
}

std::string adminOf(Process& process, std::size_t from) {
  return field(process.waitForLog("admin: listening", 20s, from), "address");
}

std::string demoBackendOf(Process& process) { return field(process.waitForLog("worker: listening", 20s), "address"); }

}  // namespace lemonade::test
