// SPDX-License-Identifier: MIT
#include "doctor/ports.h"

#include "doctor/proc_net.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

namespace lemonade::doctor {

namespace {

/// Those of a list such as "8080,9090-9099" that lie in the range.
std::uint32_t reservedIn(const std::string& list, std::uint32_t first, std::uint32_t last) {
  std::istringstream parts(list);
  std::uint32_t count = 0;
  for (std::string part; std::getline(parts, part, ',');) {
    std::istringstream numbers(part);
    std::uint32_t from = 0, to = 0;
    char dash = 0;
    if (!(numbers >> from)) continue;
    if (!(numbers >> dash >> to)) to = from;
    from = std::max(from, first);
    to = std::min(to, last);
    if (from <= to) count += to - from + 1;
  }
  return count;
}

/// How many sessions may come to the pool at once.
std::uint64_t sessionsOf(const config::Config& config, const config::Pool& pool) {
  std::uint64_t sessions = 0;
  for (const auto& listener : config.listeners)
    if (listener.pool == pool.name) sessions += listener.max_connections;
  return sessions;
}

/// The address of a pool for which the ports suffice least.
struct Tightest {
  const Patient* patient = nullptr;
  std::uint64_t sessions = 0;  // that come to it where all addresses have the same share
};

}  // namespace

std::optional<PortRange> portRange(const std::string& proc) {
  PortRange range;
  if (!(std::ifstream(proc + "/sys/net/ipv4/ip_local_port_range") >> range.first >> range.last)) return std::nullopt;
  std::string reserved;
  std::getline(std::ifstream(proc + "/sys/net/ipv4/ip_local_reserved_ports"), reserved);
  if (range.last < range.first) return std::nullopt;
  range.count = range.last - range.first + 1 - reservedIn(reserved, range.first, range.last);
  return range;
}

Findings examinePorts(const config::Config& config, const Patients& patients, const std::vector<TcpSocket>& sockets,
                      const std::string& proc) {
  const auto range = portRange(proc);
  if (!range) return {};
  std::map<Address, std::uint64_t> in_use;  // by whereto
  for (const auto& socket : sockets)
    if (!socket.listening) ++in_use[socket.remote];
  Findings findings;
  for (const auto& pool : config.pools) {
    const auto isHere = [&](const Patient& patient) { return patient.pool == &pool && !patient.address.isUnix(); };
    const auto addresses = static_cast<std::uint64_t>(std::count_if(patients.begin(), patients.end(), isHere));
    const std::uint64_t sessions = sessionsOf(config, pool);
    Tightest tightest;
    for (const auto& patient : patients) {
      if (!isHere(patient)) continue;
      std::uint64_t share = (sessions + addresses - 1) / addresses;
      if (patient.backend.max_connections != 0) share = std::min<std::uint64_t>(share, patient.backend.max_connections);
      if (tightest.patient == nullptr || share > tightest.sessions) tightest = {&patient, share};
    }
    if (tightest.patient == nullptr) continue;
    const std::string where = pool.name == config::kDefaultName ? "proxy.max_connections" : "pools." + pool.name;
    const std::string ports = std::to_string(range->count) + " source ports (" + std::to_string(range->first) + " to " +
                              std::to_string(range->last) + "), " + std::to_string(in_use[tightest.patient->address]) +
                              " in use to " + tightest.patient->address.text();
    const std::string share = std::to_string(sessions) + " sessions over " + std::to_string(addresses) +
                              " addresses of backends are " + std::to_string(tightest.sessions) + " for each";
    if (tightest.sessions <= range->count) {
      findings.push_back({Level::kOk, "ports", share + ", and each has " + ports, where});
      continue;
    }
    findings.push_back({Level::kProblem, "ports", share + ", and each has no more than " + ports, where,
                        range->first > 1'024 || range->last < 65'535
                            ? "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\", reserve the ports of local "
                              "services (net.ipv4.ip_local_reserved_ports), or add backends"
                            : "add backends or addresses of them, or lower max_connections"});
  }
  return findings;
}

}  // namespace lemonade::doctor
