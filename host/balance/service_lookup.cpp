// SPDX-License-Identifier: MIT
#include "balance/service_lookup.h"

#include "balance/dns_records.h"
#include "balance/dns_status.h"
#include "config/host_port.h"

#include <ares.h>
#include <ares_nameser.h>

#include <algorithm>

namespace lemonade {
namespace {

constexpr std::size_t kMostOfService = 1'024;
// Of hosts that are silent where others have answered; they are asked for again soon.
constexpr std::uint64_t kPatienceNs = 250'000'000;

}  // namespace

ServiceLookup::ServiceLookup(std::string name, DnsChannel& channel, const HostsFile& hosts)
    : name_(std::move(name)),
      candidates_(channel.candidates(name_.substr(config::kServicePrefix.size()))),
      channel_(channel),
      hosts_(hosts) {}

bool ServiceLookup::advance(std::uint64_t now_ns) {
  if (asked_ == 0) ask();
  while (!ended_ && !listed_ && records_->there) judge();
  if (!ended_ && listed_ && hostsAdvanced(now_ns)) gather();
  return ended_;
}

std::uint64_t ServiceLookup::patientUntil() const {
  std::uint64_t earliest = ended_ ? 0 : patient_until_;
  for (const auto& [host, lookup] : lookups_)
    if (const auto until = lookup.patientUntil(); until != 0 && (earliest == 0 || until < earliest)) earliest = until;
  return earliest;
}

void ServiceLookup::ask() { records_ = channel_.ask(candidates_[asked_++], ns_t_srv); }

void ServiceLookup::judge() {
  auto [status, targets, left_out] = serviceRecords(*records_);
  if (status == ARES_SUCCESS) {
    listed_ = true;
    // A host in a record is complete already.
    for (const auto& target : targets)
      if (!Address::parse(target.host, 0))
        lookups_.try_emplace(target.host, target.host, std::vector{target.host + "."}, channel_, hosts_);
    result_ = {Resolution::Outcome::kFound, std::move(targets), {}, std::move(left_out)};
  } else if (saysNo(status) && asked_ < candidates_.size()) {
    ask();
  } else {
    const auto outcome = saysNo(status) ? Resolution::Outcome::kNotFound : Resolution::Outcome::kTemporary;
    result_ = failure(outcome, name_, wordsOf(status, channel_.servers(), "SRV record with a host"));
    ended_ = true;
  }
}

/// True where all hosts have an answer, or the others have had their time.
bool ServiceLookup::hostsAdvanced(std::uint64_t now_ns) {
  for (auto entry = lookups_.begin(); entry != lookups_.end();) {
    if (!entry->second.advance(now_ns)) {
      ++entry;
      continue;
    }
    found_[entry->first] = entry->second.result();
    entry = lookups_.erase(entry);
  }
  const bool any = std::any_of(found_.begin(), found_.end(), [](const auto& one) { return one.second.ok(); });
  if (any && patient_until_ == 0) patient_until_ = now_ns + kPatienceNs;
  return lookups_.empty() || (patient_until_ != 0 && now_ns >= patient_until_);
}

void ServiceLookup::gather() {
  for (const auto& [host, lookup] : lookups_)
    found_[host] = failure(Resolution::Outcome::kTemporary, host, "no name server has answered yet");
  std::size_t room = kMostOfService;
  for (auto& target : result_.targets) {
    if (const auto numeric = Address::parse(target.host, 0))
      target.addresses = {*numeric};
    else
      learn(target, found_.at(target.host));
    if (target.addresses.size() > room) {
      target.addresses.resize(room);
      leaveOut("addresses beyond " + std::to_string(kMostOfService));
    }
    room -= target.addresses.size();
  }
  std::erase_if(result_.targets,
                [](const auto& target) { return target.addresses.empty() && target.unlearnt.empty(); });
  ended_ = true;
}

void ServiceLookup::learn(Target& target, const Resolution& host) {
  if (!host.ok()) {
    target.unlearnt = {AF_INET, AF_INET6};
    return leaveOut(host.error);
  }
  target.addresses = host.targets.front().addresses;
  target.unlearnt = host.targets.front().unlearnt;
  if (!host.left_out.empty()) leaveOut("of host " + target.host + " " + host.left_out);
}

/// One of these is enough to tell what kind of thing is left out.
void ServiceLookup::leaveOut(const std::string& what) {
  if (result_.left_out.empty()) result_.left_out = what;
}

}  // namespace lemonade
