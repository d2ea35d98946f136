// SPDX-License-Identifier: MIT
#include "config/check.h"

#include "config/duration.h"
#include "config/host_port.h"
#include "config/keys.h"
#include "config/nearest.h"

#include <algorithm>
#include <map>

namespace lemonade::config {
namespace {

/// Where a key of a pool was set; where it was not, the pool.
Source whereSaidOrPool(const Draft& draft, const Pool& pool, const std::string& path) {
  return draft.said.contains(path) || pool.name == kDefaultName ? draft.whereSaid(path) : pool.source;
}

std::vector<std::string> namesOf(const std::vector<Pool>& pools) {
  std::vector<std::string> names;
  for (const auto& pool : pools) names.push_back(pool.name);
  return names;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void checkThatBackendsExist(const Draft& draft, const Pool& pool, Findings& findings) {
  if (!pool.backends.empty()) return;
  if (pool.name == kDefaultName)
    return findings.error(draft.whereSaid("backends"),
                          "there are no backends; add [[backends]] with an address, or set "
                          "LEMONADE_LB_BACKEND_ADDRESSES");
  findings.error(pool.source,
                 "pool " + pool.name + " has no backends; add [[pools." + pool.name + ".backends]] with an address");
}

void completeName(Backend& backend) {
  if (backend.id.empty()) backend.id = backend.name;
  if (backend.id.empty() && !backend.host.empty()) backend.id = addressText(backend.host, backend.port);
  if (backend.name.empty()) backend.name = backend.id;
}

void checkBackends(const Draft& draft, Pool& pool, Findings& findings) {
  checkThatBackendsExist(draft, pool, findings);
  std::map<std::string, Source> ids;
  std::map<std::pair<std::string, std::uint16_t>, const Backend*> addresses;
  for (auto& backend : pool.backends) {
    completeName(backend);
    const auto [id, is_new] = ids.emplace(backend.id, backend.source);
    if (!is_new && !backend.id.empty()) {
      findings.error(backend.source, "backend id \"" + backend.id + "\" is taken by the one at " + id->second.text() +
                                         "; give each backend an id of its own");
    }
    if (backend.host.empty()) continue;
    const auto [twin, unique] = addresses.emplace(std::pair(backend.host, backend.port), &backend);
    if (!unique) {
      findings.warning(backend.address_source, "backend \"" + backend.id + "\" has the address of backend \"" +
                                                   twin->second->id + "\"; give one of them more weight instead");
    }
  }
  // What has no address has been reported: later checks, of names above all, should find nothing more to say of it.
  std::erase_if(pool.backends, [](const Backend& backend) { return backend.host.empty(); });
}

/// A listener on all addresses of a family has those of the others, too; IPv6 listeners are no IPv4 ones.
bool overlap(const std::string& one, const std::string& other) {
  const auto port = [](const std::string& address) { return address.substr(address.rfind(':')); };
  if (one.ends_with(":0") || port(one) != port(other)) return false;
  const bool ipv6 = one.starts_with('[');
  if (ipv6 != other.starts_with('[')) return false;
  const char* wildcard = ipv6 ? "[::]:" : "0.0.0.0:";
  return one == other || one.starts_with(wildcard) || other.starts_with(wildcard);
}

/// It may be meant, for an upgrade say; but a balancer for nobody is worth a word.
void checkWhoIsPicked(const Draft& draft, const Pool& pool, Findings& findings) {
  const bool any = std::any_of(pool.backends.begin(), pool.backends.end(),
                               [](const Backend& backend) { return backend.enabled && backend.weight > 0; });
  if (pool.backends.empty() || any) return;
  const auto of_pool = pool.name == kDefaultName ? "" : " of pool " + pool.name;
  findings.warning(
      draft.whereSaid(pathOf(pool) + "backends"),
      "no backend" + of_pool + " can be picked, all are disabled or have weight 0; set enabled = true and a weight");
}

void checkAddresses(const Draft& draft, Findings& findings) {
  std::vector<Listen> taken;
  const auto check = [&](const Listen& listen) {
    const auto other = std::find_if(taken.begin(), taken.end(),
                                    [&](const Listen& one) { return overlap(one.address, listen.address); });
    if (other == taken.end()) return taken.push_back(listen);
    findings.error(listen.source, listen.address + " is listened on already, as " + other->source.text() +
                                      (other->address == listen.address ? " says" : " says with " + other->address) +
                                      "; choose another address");
  };
  for (const auto& listener : draft.config.listeners)
    for (const auto& listen : listener.addresses) check(listen);
  if (draft.config.admin) check(*draft.config.admin);
  if (const auto& access = draft.config.admin_access; access.hasOwnSocket())
    check({std::string(kUnixPrefix) + access.socket, draft.whereSaid("admin.socket")});
}

/// A listener that takes headers says from whom; a source address serves backends of its family.
void checkEdges(const Draft& draft, Findings& findings) {
  for (const auto& listener : draft.config.listeners)
    if (listener.accept_proxy != AcceptProxy::kOff && listener.trusted.empty())
      findings.error(listener.name == kDefaultName ? draft.whereSaid("proxy.accept_proxy") : listener.source,
                     "listener " + listener.name +
                         " accepts PROXY headers from nobody; say who may send them: trusted = [\"10.0.0.0/8\"]");
  for (const auto& pool : draft.config.pools) {
    if (pool.source_address.empty()) continue;
    const bool ipv6 = pool.source_address.find(':') != std::string::npos;
    for (const auto& backend : pool.backends) {
      const bool numeric = backend.port != 0 && !isHostName(backend.host);
      if (numeric && (backend.host.find(':') != std::string::npos) != ipv6)
        findings.warning(backend.address_source, "backend \"" + backend.id + "\" is not connected to from " +
                                                     pool.source_address + ", which is of another family");
    }
  }
}

Source whereSaid(const Draft& draft, const Listener& listener, const char* key) {
  return listener.name == kDefaultName ? draft.whereSaid(std::string("proxy.") + key) : listener.source;
}

/// What the kernel forwards we never see, so nothing can be read from it or sent before it.
void checkForwarding(const Draft& draft, const Listener& listener, const Pool* pool, Findings& findings) {
  if (listener.forward != Forward::kKernel) return;
  const auto where = whereSaid(draft, listener, "forward");
  const auto refuse = [&](const std::string& why, const std::string& mend) {
    findings.error(where, "listener " + listener.name + " has forward = \"kernel\", and " + why + "; " + mend);
  };
  for (const auto& listen : listener.addresses)
    if (listen.address.starts_with(kUnixPrefix))
      refuse(listen.address + " is a Unix socket, which the kernel cannot forward",
             "give it a listener of its own with forward = \"relay\"");
  if (listener.accept_proxy != AcceptProxy::kOff)
    refuse("accept_proxy would have to read what clients send", "use forward = \"relay\", or accept_proxy = \"off\"");
  if (pool == nullptr) return;
  if (pool->send_proxy != SendProxy::kOff)
    refuse("send_proxy of its pool " + pool->name + " would have to write to backends",
           "use forward = \"relay\", or source = \"keep\" in the place of a header");
  if (!pool->source_address.empty())
    refuse("its pool " + pool->name + " has a source_address, which is chosen by a socket that there is not",
           "use forward = \"relay\", or have the route to the backends say it");
  for (const auto& backend : pool->backends)
    if (backend.host.starts_with(kUnixPrefix))
      findings.error(backend.address_source, "backend \"" + backend.id + "\" is a Unix socket, to which the listener " +
                                                 listener.name +
                                                 " with forward = \"kernel\" cannot forward; give it "
                                                 "an address and a port, or use forward = \"relay\"");
  if (pool->rebalance != Rebalance::kOff || pool->max_session_age != Duration::zero())
    findings.warning(where, "pool " + pool->name + " closes quiet sessions, but not those of listener " +
                                listener.name + ", which the kernel forwards: nobody sees whether they are quiet");
}

void checkForwarding(const Draft& draft, Findings& findings) {
  const auto& pools = draft.config.pools;
  for (const auto& listener : draft.config.listeners) {
    const auto pool =
        std::find_if(pools.begin(), pools.end(), [&](const Pool& one) { return one.name == listener.pool; });
    checkForwarding(draft, listener, pool != pools.end() ? &*pool : nullptr, findings);
  }
}

/// Each listener leads to a pool that there is, and each pool is led to.
void checkPools(const Draft& draft, Findings& findings) {
  const auto& config = draft.config;
  const auto names = namesOf(config.pools);
  std::vector<std::string> used;
  for (const auto& listener : config.listeners) {
    used.push_back(listener.pool);
    if (contains(names, listener.pool)) continue;
    const bool is_default = listener.name == kDefaultName;
    const auto path = is_default ? std::string("proxy.pool") : "listeners." + listener.name + ".pool";
    const auto where = draft.said.contains(path) || is_default ? draft.whereSaid(path) : listener.source;
    findings.error(where, "listener " + listener.name + " leads to pool " + listener.pool +
                              ", which does not exist; give " + (is_default ? "proxy.pool" : "pool") + ": " +
                              suggestion(listener.pool, names));
  }
  for (const auto& pool : config.pools)
    if (!contains(used, pool.name) && config.pools.size() > 1)
      findings.warning(pool.name == kDefaultName ? draft.whereSaid("backends") : pool.source,
                       "no listener leads to pool " + pool.name +
                           ", so that it has no clients; add [[listeners]] with "
                           "pool = \"" +
                           pool.name + "\", or remove it");
  for (const auto& name : config.ready.names)
    if (!contains(names, name))
      findings.error(draft.whereSaid("admin.ready"),
                     "admin.ready names pool " + name + ", which does not exist; " + suggestion(name, names));
}

void checkTimes(const Draft& draft, Findings& findings) {
  const auto& runtime = draft.config.runtime;
  if (runtime.accept_timeout < runtime.grace + runtime.drain_timeout) {
    std::string key = "runtime.grace_millis";
    for (const char* other : {"runtime.drain_timeout_millis", "runtime.accept_timeout_millis"})
      if (draft.said.contains(other)) key = other;
    findings.warning(draft.whereSaid(key),
                     "runtime.accept_timeout_millis (" + durationText(runtime.accept_timeout) +
                         ") bounds the whole stop and cuts runtime.drain_timeout_millis (" +
                         durationText(runtime.drain_timeout) + ") short; make it longer than " +
                         (runtime.grace == Duration::zero()
                              ? "the drain"
                              : "runtime.grace_millis (" + durationText(runtime.grace) + ") and the drain together"));
  }
}

constexpr double kLeastSlowFactor = 2;

void checkEjection(const Draft& draft, const Pool& pool, Findings& findings) {
  const auto& ejection = pool.ejection;
  const auto path = pathOf(pool) + "ejection.";
  if (ejection.slow_factor > 0 && ejection.slow_factor < kLeastSlowFactor)
    findings.error(whereSaidOrPool(draft, pool, path + "slow_factor"),
                   path +
                       "slow_factor is so small that backends which are alike would stand out; give 2 or more, or 0 "
                       "for never");
  if (ejection.max_time >= ejection.base_time) return;
  const bool said = draft.said.contains(path + "max_time");
  findings.error(said ? draft.whereSaid(path + "max_time") : whereSaidOrPool(draft, pool, path + "base_time"),
                 path + "max_time (" + durationText(ejection.max_time) + ") is shorter than " + path + "base_time (" +
                     durationText(ejection.base_time) + "); make it at least as long");
}

void checkHealth(const Draft& draft, const Pool& pool, Findings& findings) {
  const auto& health = pool.health;
  if (health.hasChecker()) return;
  const auto path = pathOf(pool) + "health.";
  if (health.initial != Initial::kUp)
    findings.error(whereSaidOrPool(draft, pool, path + "initial"),
                   path + "initial is \"" + wordOf(health.initial) + "\" and " + path +
                       "checker is \"none\", so that no backend would ever be up; choose a checker, or \"up\"");
  for (const auto& option : health.checker.options)
    findings.error(option.source, path + "options." + option.key +
                                      ": there is no checker to take it; remove it, or name one as " + path +
                                      "checker");
}

void completeSinks(Draft& draft, Findings& findings) {
  auto& metrics = draft.config.metrics;
  std::vector<std::string> ids;
  for (auto& sink : metrics.sinks) {
    ids.push_back(sink.id);
    const auto options = metrics.options.find(sink.id);
    if (options != metrics.options.end()) sink.options = options->second.options;
  }
  for (const auto& [id, options] : metrics.options) {
    if (contains(ids, id)) continue;
    findings.warning(options.source, "options for a sink that metrics.sinks does not name: " + id +
                                         (ids.empty() ? "" : "; " + suggestion(id, ids)));
  }
}

}  // namespace

Source Draft::whereSaid(const std::string& path) const {
  const auto found = said.find(path);
  if (found != said.end()) return found->second;
  return config.file.empty() ? Source{"environment", 0, 0} : Source{config.file, 1, 1};
}

void completeAndCheck(Draft& draft, Findings& findings) {
  for (auto& pool : draft.config.pools) {
    checkBackends(draft, pool, findings);
    checkWhoIsPicked(draft, pool, findings);
    checkEjection(draft, pool, findings);
    checkHealth(draft, pool, findings);
  }
  checkAddresses(draft, findings);
  checkEdges(draft, findings);
  checkForwarding(draft, findings);
  checkPools(draft, findings);
  checkTimes(draft, findings);
  completeSinks(draft, findings);
}

}  // namespace lemonade::config
