// SPDX-License-Identifier: MIT
#include "balance/name_lookup.h"

#include "balance/host_lookup.h"
#include "balance/service_lookup.h"
#include "config/host_port.h"

namespace lemonade {

std::unique_ptr<NameLookup> makeNameLookup(const std::string& name, DnsChannel& channel, const HostsFile& hosts) {
  if (config::isService(name)) return std::make_unique<ServiceLookup>(name, channel, hosts);
  return std::make_unique<HostLookup>(name, channel.candidates(name), channel, hosts);
}

}  // namespace lemonade
