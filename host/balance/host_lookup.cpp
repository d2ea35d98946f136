// SPDX-License-Identifier: MIT
#include "balance/host_lookup.h"

#include "balance/dns_status.h"
#include "balance/usable.h"

#include <ares.h>
#include <ares_nameser.h>

#include <algorithm>

namespace lemonade {
namespace {

// Many a name server drops questions for IPv6 addresses.
constexpr std::uint64_t kPatienceNs = 250'000'000;

}  // namespace

HostLookup::HostLookup(std::string host, std::vector<std::string> candidates, DnsChannel& channel,
                       const HostsFile& hosts)
    : host_(std::move(host)),
      candidates_(std::move(candidates)),
      channel_(channel),
      hosts_(hosts),
      no_(ARES_ENOTFOUND) {}

bool HostLookup::Family::failed() const { return !said || (said->status != ARES_SUCCESS && !saysNo(said->status)); }

bool HostLookup::advance(std::uint64_t now_ns) {
  if (!began_) begin();
  while (!ended_ && judge(now_ns)) {
  }
  return ended_;
}

void HostLookup::begin() {
  began_ = true;
  auto known = hosts_.find(host_);
  if (!known) return end(failure(Resolution::Outcome::kTemporary, host_, known.error().message));
  if (!known.value().empty()) return endWith(std::move(known).value(), {});
  ask();
}

void HostLookup::ask() {
  patient_until_ = 0;
  ipv4_ = {channel_.ask(candidates_[asked_], ns_t_a), {}};
  ipv6_ = {channel_.ask(candidates_[asked_], ns_t_aaaa), {}};
  ++asked_;
}

/// Looks at what has come. True where there is more to look at, because another candidate was asked for.
bool HostLookup::judge(std::uint64_t now_ns) {
  if (!ipv4_.said && ipv4_.answer->there) ipv4_.said = ipv4Records(*ipv4_.answer);
  if (!ipv6_.said && ipv6_.answer->there) ipv6_.said = ipv6Records(*ipv6_.answer);
  if (!ipv4_.said && !ipv6_.said) return false;
  if (!(ipv4_.said && ipv6_.said) && !waitedEnough(now_ns)) return false;

  std::vector<Address> found;
  std::vector<int> unlearnt;
  for (const auto* family : {&ipv4_, &ipv6_}) {
    if (family->said) found.insert(found.end(), family->said->addresses.begin(), family->said->addresses.end());
    if (family->failed()) unlearnt.push_back(family == &ipv4_ ? AF_INET : AF_INET6);
  }
  if (found.empty() && unlearnt.empty()) return askNext();
  if (!found.empty()) {
    endWith(std::move(found), std::move(unlearnt));
  } else {
    const auto& failed = ipv4_.failed() ? ipv4_ : ipv6_;
    end(failure(Resolution::Outcome::kTemporary, host_, wordsOf(failed.said->status, channel_.servers(), "address")));
  }
  return false;
}

/// Whether one family will do, now that the other has had its time. It will not where it leads nowhere.
bool HostLookup::waitedEnough(std::uint64_t now_ns) {
  if (patient_until_ == 0) {
    const auto& addresses = (ipv4_.said ? ipv4_ : ipv6_).said->addresses;
    patient_until_ = std::any_of(addresses.begin(), addresses.end(), hasRoute) ? now_ns + kPatienceNs : kForever;
  }
  return now_ns >= patient_until_;
}

/// Both families said no.
bool HostLookup::askNext() {
  for (const auto* family : {&ipv4_, &ipv6_})
    if (family->said->status != ARES_ENOTFOUND) no_ = family->said->status;
  if (asked_ < candidates_.size()) {
    ask();
    return true;
  }
  end(failure(Resolution::Outcome::kNotFound, host_, wordsOf(no_, channel_.servers(), "address")));
  return false;
}

void HostLookup::endWith(std::vector<Address> found, std::vector<int> unlearnt) {
  auto [addresses, left_out] = usable(std::move(found));
  if (addresses.empty()) return end(failure(Resolution::Outcome::kNotFound, host_, "it leads to " + left_out));
  end({Resolution::Outcome::kFound, {{host_, 0, 0, 0, std::move(addresses), std::move(unlearnt)}}, {}, left_out});
}

void HostLookup::end(Resolution resolution) {
  result_ = std::move(resolution);
  ended_ = true;
}

}  // namespace lemonade
