// SPDX-License-Identifier: MIT
//
// The lookup of a host: in /etc/hosts, else at the name servers, both families of each name it may stand for, until one
// of these has any address. A family that is silent holds the other up for a moment only.
#pragma once

#include "balance/dns_records.h"
#include "balance/name_lookup.h"

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lemonade {

class HostLookup : public NameLookup {
 public:
  /// candidates are the complete names that host may stand for, in the order of asking; there is at least one.
  HostLookup(std::string host, std::vector<std::string> candidates, DnsChannel& channel, const HostsFile& hosts);

  bool advance(std::uint64_t now_ns) override;
  std::uint64_t patientUntil() const override { return ended_ || patient_until_ == kForever ? 0 : patient_until_; }
  Resolution result() override { return std::move(result_); }

 private:
  static constexpr auto kForever = std::numeric_limits<std::uint64_t>::max();

  struct Family {
    std::shared_ptr<const DnsAnswer> answer{};
    std::optional<AddressRecords> said{};  // once it is there
    bool failed() const;                   // or is not there, which is the same once nobody waits
  };

  void begin();
  void ask();
  bool judge(std::uint64_t now_ns);
  bool waitedEnough(std::uint64_t now_ns);
  bool askNext();
  void endWith(std::vector<Address> found, std::vector<int> unlearnt);
  void end(Resolution resolution);

  const std::string host_;
  const std::vector<std::string> candidates_;
  DnsChannel& channel_;
  const HostsFile& hosts_;
  std::size_t asked_ = 0;  // candidates
  Family ipv4_;            // of the candidate asked for last, as the next
  Family ipv6_;
  std::uint64_t patient_until_ = 0;  // 0: nothing has come; kForever: only both families will do
  int no_ = 0;                       // why none of the candidates will do: a status of c-ares
  Resolution result_;
  bool began_ = false;
  bool ended_ = false;
};

}  // namespace lemonade
