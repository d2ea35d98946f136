// SPDX-License-Identifier: MIT
#include "doctor/forwarding.h"

#include "kernel/support.h"

#include <algorithm>
#include <set>

namespace lemonade::doctor {

namespace {

constexpr const char* kForwardingTopic = "forwarding";

bool isForwarded(const config::Listener& listener) { return listener.forward == config::Forward::kKernel; }

void addFamilies(const config::Listener& listener, kernel::Wants& wants) {
  for (const auto& listen : listener.addresses) {
    const auto address = Address::parse(listen.address);
    wants.ipv4 = wants.ipv4 || (address && address->family() == AF_INET);
    wants.ipv6 = wants.ipv6 || (address && address->family() == AF_INET6);
  }
}

kernel::Wants wantsOf(const config::Config& config, const Patients& patients) {
  kernel::Wants wants;
  wants.exchanges = config.kernel.exchanges == config::Exchanges::kOn;
  std::set<std::string> pools;
  for (const auto& listener : config.listeners) {
    if (!isForwarded(listener)) continue;
    addFamilies(listener, wants);
    pools.insert(listener.pool);
    wants.connections += listener.max_connections;
    wants.masquerade = wants.masquerade || listener.forward_source == config::ForwardSource::kMasquerade;
  }
  for (const auto& patient : patients)
    if (pools.count(patient.pool->name) > 0 && patient.address.family() != AF_UNSPEC)
      wants.backends.push_back(patient.address);
  return wants;
}

std::string keyOf(const config::Listener& listener) {
  return listener.name == config::kDefaultName ? "proxy.forward" : "listeners." + listener.name + ".forward";
}

}  // namespace

Findings examineForwarding(const config::Config& config, const Patients& patients, const std::string& proc) {
  const auto first = std::find_if(config.listeners.begin(), config.listeners.end(), isForwarded);
  if (first == config.listeners.end()) return {};
  Findings findings;
  const auto tag = static_cast<std::uint16_t>(config.kernel.tag);
  for (auto& lack : kernel::examineSupport(config.kernel.table, tag, wantsOf(config, patients), proc))
    findings.push_back({lack.fatal ? Level::kProblem : Level::kWarning, kForwardingTopic, std::move(lack.what),
                        keyOf(*first), std::move(lack.mend)});
  if (findings.empty()) findings.push_back({Level::kOk, kForwardingTopic, "the kernel can forward", keyOf(*first)});
  return findings;
}

}  // namespace lemonade::doctor
