// SPDX-License-Identifier: MIT
//
// The lookup of a service: its SRV records, then each of the hosts that they list, all at once. Hosts that are silent
// hold the others up for a moment only.
#pragma once

#include "balance/host_lookup.h"
#include "balance/name_lookup.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lemonade {

class ServiceLookup : public NameLookup {
 public:
  /// name is as config::isService() has it.
  ServiceLookup(std::string name, DnsChannel& channel, const HostsFile& hosts);

  bool advance(std::uint64_t now_ns) override;
  std::uint64_t patientUntil() const override;
  Resolution result() override { return std::move(result_); }

 private:
  void ask();
  void judge();
  bool hostsAdvanced(std::uint64_t now_ns);
  void gather();
  void learn(Target& target, const Resolution& host);
  void leaveOut(const std::string& what);

  const std::string name_;
  const std::vector<std::string> candidates_;
  DnsChannel& channel_;
  const HostsFile& hosts_;
  std::size_t asked_ = 0;                      // candidates
  std::shared_ptr<const DnsAnswer> records_;   // of the candidate asked for last
  bool listed_ = false;                        // the records are there
  std::map<std::string, HostLookup> lookups_;  // of hosts that have no answer yet
  std::map<std::string, Resolution> found_;    // of those that have
  std::uint64_t patient_until_ = 0;            // 0: no host has an answer
  Resolution result_;
  bool ended_ = false;
};

}  // namespace lemonade
