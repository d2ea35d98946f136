// SPDX-License-Identifier: MIT
#include "balance/dns_records.h"

#include "config/host_port.h"

#include <ares.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <tuple>

namespace lemonade {
namespace {

constexpr std::size_t kMostTargets = 256;
constexpr std::size_t kMostRecords = 65'536 / 16;  // of addresses that the longest message holds

/// Reads the records of a family by the library's function for it; addressOf makes an address of one of them.
template <class Record, class Parse, class AddressOf>
AddressRecords read(const DnsAnswer& answer, Parse parse, AddressOf addressOf) {
  if (answer.status != ARES_SUCCESS) return {answer.status};
  std::vector<Record> records(kMostRecords);
  int count = static_cast<int>(records.size());
  AddressRecords read{
      parse(answer.bytes.data(), static_cast<int>(answer.bytes.size()), nullptr, records.data(), &count)};
  if (read.status != ARES_SUCCESS) return read;
  for (int i = 0; i < count; ++i) {
    const auto address = addressOf(records[static_cast<std::size_t>(i)]);
    read.addresses.emplace_back(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  return read;
}

/// Each host and port once: the record of the lowest priority, of these the one with the most weight; by priority.
void sortAndUnite(std::vector<Target>& targets) {
  std::sort(targets.begin(), targets.end(), [](const auto& a, const auto& b) {
    return std::tie(a.host, a.port, a.priority, b.weight) < std::tie(b.host, b.port, b.priority, a.weight);
  });
  const auto same = [](const auto& a, const auto& b) { return a.host == b.host && a.port == b.port; };
  targets.erase(std::unique(targets.begin(), targets.end(), same), targets.end());
  std::stable_sort(targets.begin(), targets.end(),
                   [](const auto& a, const auto& b) { return a.priority < b.priority; });
}

}  // namespace

AddressRecords ipv4Records(const DnsAnswer& answer) {
  return read<ares_addrttl>(answer, ares_parse_a_reply, [](const ares_addrttl& record) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr = record.ipaddr;
    return address;
  });
}

AddressRecords ipv6Records(const DnsAnswer& answer) {
  return read<ares_addr6ttl>(answer, ares_parse_aaaa_reply, [](const ares_addr6ttl& record) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    std::memcpy(&address.sin6_addr, &record.ip6addr, sizeof(address.sin6_addr));
    return address;
  });
}

ServiceRecords serviceRecords(const DnsAnswer& answer) {
  if (answer.status != ARES_SUCCESS) return {answer.status};
  ares_srv_reply* list = nullptr;
  ServiceRecords records{ares_parse_srv_reply(answer.bytes.data(), static_cast<int>(answer.bytes.size()), &list)};
  const std::unique_ptr<ares_srv_reply, void (*)(void*)> owned(list, ares_free_data);
  if (records.status != ARES_SUCCESS) return records;
  auto& targets = records.targets;
  for (const auto* one = list; one != nullptr; one = one->next) {
    std::string host = one->host;
    if (host.ends_with('.')) host.pop_back();
    // "." says that the service is not offered; port 0 cannot be connected to; a host may be any bytes.
    const bool fit = one->port != 0 && (config::isHostName(host) || Address::parse(host, 0));
    if (fit) targets.push_back({std::move(host), one->port, one->priority, one->weight});
  }
  sortAndUnite(targets);
  if (targets.size() > kMostTargets) {
    records.left_out = std::to_string(targets.size() - kMostTargets) + " of " + std::to_string(targets.size()) +
                       " hosts, of which no more than " + std::to_string(kMostTargets) + " are used";
    targets.resize(kMostTargets);
  }
  if (targets.empty()) records.status = ARES_ENODATA;
  return records;
}

}  // namespace lemonade
