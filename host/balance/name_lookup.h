// SPDX-License-Identifier: MIT
//
// How one name is looked up, a host or a service. A lookup holds where it is and is moved on by whoever sees that
// answers have come; nothing in it waits or is called back. The thread of its channel only.
#pragma once

#include "balance/dns_channel.h"
#include "balance/hosts_file.h"
#include "balance/resolution.h"

#include <cstdint>
#include <memory>
#include <string>

namespace lemonade {

/// Looks one name up: advance() until it is true, each time that answers have come and at patientUntil(); then
/// result().
class NameLookup {
 public:
  virtual ~NameLookup() = default;
  /// Moves on as far as it gets; true at the end.
  virtual bool advance(std::uint64_t now_ns) = 0;
  /// When it is worth to look again even though nothing came, in monotonic nanoseconds; 0: never.
  virtual std::uint64_t patientUntil() const = 0;
  /// After the end, once.
  virtual Resolution result() = 0;
};

/// The lookup of a name that is not numeric: a host, or a service as in config::isService(). channel and hosts must
/// outlive it.
std::unique_ptr<NameLookup> makeNameLookup(const std::string& name, DnsChannel& channel, const HostsFile& hosts);

}  // namespace lemonade
