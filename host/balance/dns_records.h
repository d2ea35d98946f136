// SPDX-License-Identifier: MIT
//
// What stands in the answers of name servers, whatever that is: a message may come from anyone. Pure functions.
#pragma once

#include "balance/dns_channel.h"
#include "balance/resolution.h"

#include <string>
#include <vector>

namespace lemonade {

/// The addresses in an answer.
struct AddressRecords {
  int status = 0;  ///< of c-ares: of the answer, else of reading it
  std::vector<Address> addresses{};
};

/// Of an answer to a question for A records, and for AAAA records.
AddressRecords ipv4Records(const DnsAnswer& answer);
AddressRecords ipv6Records(const DnsAnswer& answer);

/// The hosts in the SRV records of an answer.
struct ServiceRecords {
  int status = 0;                 ///< as above; ARES_ENODATA where no record has a host and a port
  std::vector<Target> targets{};  ///< by priority, each host and port once, at most 256; without addresses
  std::string left_out{};         ///< as in Resolution
};

ServiceRecords serviceRecords(const DnsAnswer& answer);

}  // namespace lemonade
