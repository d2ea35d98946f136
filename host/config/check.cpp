// SPDX-License-Identifier: MIT
#include "config/check.h"

#include "config/host_port.h"
#include "config/nearest.h"

#include <algorithm>
#include <map>

namespace lemonade::config {
namespace {

/// Where a key was set; where it was not, the file as a whole.
Source whereSaid(const Draft& draft, const std::string& path) {
  const auto found = draft.said.find(path);
  if (found != draft.said.end()) return found->second;
  return draft.config.file.empty() ? Source{"environment", 0, 0} : Source{draft.config.file, 1, 1};
}

void checkBackends(Draft& draft, Findings& findings) {
  auto& backends = draft.config.pools.front().backends;
  if (backends.empty()) {
    findings.error(whereSaid(draft, "backends"),
                   "there are no backends; add [[backends]] with an address, or set LEMONADE_LB_BACKEND_ADDRESSES");
  }
  std::map<std::string, Source> ids;
  std::map<std::pair<std::string, std::uint16_t>, const Backend*> addresses;
  for (auto& backend : backends) {
    const bool has_address = !backend.host.empty();
    const auto address = addressText(backend.host, backend.port);
    if (backend.id.empty()) backend.id = backend.name;
    if (backend.id.empty() && has_address) backend.id = address;
    if (backend.name.empty()) backend.name = backend.id;
    const auto [id, is_new] = ids.emplace(backend.id, backend.source);
    if (!is_new && !backend.id.empty()) {
      findings.error(backend.source, "backend id \"" + backend.id + "\" is taken by the one at " + id->second.text() +
                                         "; give each backend an id of its own");
    }
    if (!has_address) continue;
    const auto [twin, unique] = addresses.emplace(std::pair(backend.host, backend.port), &backend);
    if (!unique) {
      findings.warning(backend.address_source, "backend \"" + backend.id + "\" has the address of backend \"" +
                                                   twin->second->id + "\"; give one of them more weight instead");
    }
  }
  // Reported already: whoever checks further, names above all, should find nothing more to say of them.
  std::erase_if(backends, [](const Backend& backend) { return backend.host.empty(); });
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
void checkWhoIsPicked(const Draft& draft, Findings& findings) {
  const auto& backends = draft.config.pools.front().backends;
  const bool any = std::any_of(backends.begin(), backends.end(),
                               [](const Backend& backend) { return backend.enabled && backend.weight > 0; });
  if (!backends.empty() && !any)
    findings.warning(whereSaid(draft, "backends"),
                     "no backend can be picked, all are disabled or have weight 0; set enabled = true and a weight");
}

void checkListeners(const Draft& draft, Findings& findings) {
  std::vector<Listen> taken;
  const auto check = [&](const Listen& listen) {
    const auto other = std::find_if(taken.begin(), taken.end(),
                                    [&](const Listen& one) { return overlap(one.address, listen.address); });
    if (other == taken.end()) return taken.push_back(listen);
    findings.error(listen.source, listen.address + " is listened on already, as " + other->source.text() +
                                      (other->address == listen.address ? " says" : " says with " + other->address) +
                                      "; choose another address");
  };
  for (const auto& listen : draft.config.listeners.front().addresses) check(listen);
  if (draft.config.admin) check(*draft.config.admin);
}

void checkTimes(const Draft& draft, Findings& findings) {
  const auto& runtime = draft.config.runtime;
  if (runtime.accept_timeout < runtime.grace + runtime.drain_timeout) {
    std::string key = "runtime.grace_millis";
    for (const char* other : {"runtime.drain_timeout_millis", "runtime.accept_timeout_millis"})
      if (draft.said.contains(other)) key = other;
    findings.warning(whereSaid(draft, key),
                     "runtime.accept_timeout_millis (" + durationText(runtime.accept_timeout) +
                         ") bounds the whole stop and cuts runtime.drain_timeout_millis (" +
                         durationText(runtime.drain_timeout) + ") short; make it longer than " +
                         (runtime.grace == Duration::zero()
                              ? "the drain"
                              : "runtime.grace_millis (" + durationText(runtime.grace) + ") and the drain together"));
  }
}

void checkEjection(const Draft& draft, Findings& findings) {
  const auto& ejection = draft.config.pools.front().ejection;
  if (ejection.max_time >= ejection.base_time) return;
  const bool said = draft.said.contains("ejection.max_time");
  findings.error(whereSaid(draft, said ? "ejection.max_time" : "ejection.base_time"),
                 "ejection.max_time (" + durationText(ejection.max_time) + ") is shorter than ejection.base_time (" +
                     durationText(ejection.base_time) + "); make it at least as long");
}

void checkHealth(const Draft& draft, Findings& findings) {
  const auto& health = draft.config.pools.front().health;
  if (health.hasChecker()) return;
  if (health.initial != Initial::kUp)
    findings.error(whereSaid(draft, "health.initial"),
                   std::string("health.initial is \"") + initialText(health.initial) +
                       "\" and health.checker is \"none\", so that no backend would ever be up; choose a checker, or "
                       "\"up\"");
  for (const auto& option : health.checker.options)
    findings.error(option.source, "health.options." + option.key +
                                      ": there is no checker to take it; remove it, or name one as health.checker");
}

void completeSinks(Draft& draft, Findings& findings) {
  std::vector<std::string> ids;
  for (auto& sink : draft.config.metrics.sinks) {
    ids.push_back(sink.id);
    const auto options = draft.sink_options.find(sink.id);
    if (options != draft.sink_options.end()) sink.options = options->second.options;
  }
  for (const auto& [id, options] : draft.sink_options) {
    if (std::find(ids.begin(), ids.end(), id) != ids.end()) continue;
    findings.warning(options.source, "options for a sink that metrics.sinks does not name: " + id +
                                         (ids.empty() ? "" : "; " + suggestion(id, ids)));
  }
}

}  // namespace

void completeAndCheck(Draft& draft, Findings& findings) {
  checkBackends(draft, findings);
  checkWhoIsPicked(draft, findings);
  checkListeners(draft, findings);
  checkTimes(draft, findings);
  checkEjection(draft, findings);
  checkHealth(draft, findings);
  completeSinks(draft, findings);
}

}  // namespace lemonade::config
