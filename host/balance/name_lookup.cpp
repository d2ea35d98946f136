// SPDX-License-Identifier: MIT
#include "balance/name_lookup.h"

#include "balance/usable.h"
#include "base/clock.h"
#include "config/host_port.h"

#include <ares.h>
#include <ares_nameser.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

namespace lemonade {
namespace {

using namespace std::chrono_literals;

// Of a family that is silent where the other has answered: many a name server drops questions for IPv6 addresses.
constexpr Duration kPatience = 250ms;
constexpr std::size_t kMostTargets = 256;
constexpr std::size_t kMostOfService = 1'024;  // addresses
constexpr std::size_t kMostRecords = 65'536 / 16;  // of addresses that the longest message holds

Resolution failure(Resolution::Outcome outcome, const std::string& name, const std::string& why) {
  return {outcome, {}, "name \"" + name + "\" does not resolve: " + why, {}};
}

bool saysNo(int status) { return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME; }

/// What a status of c-ares means to an operator.
std::string wordsOf(int status, const std::string& servers, const char* record) {
  switch (status) {
    case ARES_ENOTFOUND:
      return "there is no such name";
    case ARES_ENODATA:
      return std::string("the name has no ") + record;
    case ARES_EBADNAME:
      return "it is no valid name";
    case ARES_ETIMEOUT:
      return "no name server answers (" + servers + ")";
    case ARES_ECONNREFUSED:  // also what the library makes of SERVFAIL and REFUSED
      return "no name server could answer (" + servers + "): it failed, refused, or cannot be reached";
    case ARES_EBADRESP:
    case ARES_EFORMERR:
      return "the name server's answer makes no sense (" + servers + ")";
    case ARES_EFILE:
      return "for want of descriptors, or /etc/resolv.conf cannot be read";
    default:
      return ares_strerror(status);
  }
}

/// One question put to the name servers, and its answer where it is needed: parse turns the message into values.
class Question {
 public:
  void ask(DnsChannel& channel, const std::string& name, int type) { answer_ = channel.ask(name, type); }
  bool answered() const { return answer_ != nullptr && answer_->there; }
  int status() const { return answer_->status; }
  const std::vector<unsigned char>& message() const { return answer_->bytes; }

 private:
  std::shared_ptr<const DnsAnswer> answer_;
};

struct Addresses {
  int status = ARES_SUCCESS;
  std::vector<Address> found{};
};

Addresses ipv4Of(const Question& question) {
  if (question.status() != ARES_SUCCESS) return {question.status()};
  std::vector<ares_addrttl> records(kMostRecords);
  int count = static_cast<int>(records.size());
  const auto& message = question.message();
  Addresses addresses{ares_parse_a_reply(message.data(), static_cast<int>(message.size()), nullptr, records.data(), &count)};
  for (int i = 0; addresses.status == ARES_SUCCESS && i < count; ++i) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr = records[static_cast<std::size_t>(i)].ipaddr;
    addresses.found.emplace_back(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  return addresses;
}

Addresses ipv6Of(const Question& question) {
  if (question.status() != ARES_SUCCESS) return {question.status()};
  std::vector<ares_addr6ttl> records(kMostRecords);
  int count = static_cast<int>(records.size());
  const auto& message = question.message();
  Addresses addresses{ares_parse_aaaa_reply(message.data(), static_cast<int>(message.size()), nullptr, records.data(), &count)};
  for (int i = 0; addresses.status == ARES_SUCCESS && i < count; ++i) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    std::memcpy(&address.sin6_addr, &records[static_cast<std::size_t>(i)].ip6addr, sizeof(address.sin6_addr));
    addresses.found.emplace_back(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  return addresses;
}

/// A host: both families of each candidate in turn, until one candidate has any address.
class HostLookup : public NameLookup {
 public:
  HostLookup(std::string host, std::vector<std::string> candidates, DnsChannel& channel, const HostsFile& hosts)
      : host_(std::move(host)), candidates_(std::move(candidates)), channel_(channel), hosts_(hosts) {}

  bool advance(std::uint64_t now_ns) override {
    if (!began_) begin();
    while (!ended_ && judge(now_ns)) {
    }
    return ended_;
  }
  std::uint64_t patientUntil() const override { return ended_ || patient_until_ == kForever ? 0 : patient_until_; }
  Resolution result() override { return std::move(result_); }

 private:
  static constexpr auto kForever = std::numeric_limits<std::uint64_t>::max();

  struct Family {
    Question question{};
    std::optional<Addresses> said{};  // once it is answered
    bool failed() const { return !said || (said->status != ARES_SUCCESS && !saysNo(said->status)); }
  };

  void begin() {
    began_ = true;
    auto known = hosts_.find(host_);
    if (!known) return end(failure(Resolution::Outcome::kTemporary, host_, known.error().message));
    if (!known.value().empty()) return endWith(std::move(known).value(), {});
    ask();
  }

  void ask() {
    patient_until_ = 0;
    ipv4_ = ipv6_ = {};
    ipv4_.question.ask(channel_, candidates_[asked_], ns_t_a);
    ipv6_.question.ask(channel_, candidates_[asked_], ns_t_aaaa);
    ++asked_;
  }

  /// Looks at what has come. True where there is more to look at, because another candidate was asked for.
  bool judge(std::uint64_t now_ns) {
    if (!ipv4_.said && ipv4_.question.answered()) ipv4_.said = ipv4Of(ipv4_.question);
    if (!ipv6_.said && ipv6_.question.answered()) ipv6_.said = ipv6Of(ipv6_.question);
    if (!ipv4_.said && !ipv6_.said) return false;
    if (!(ipv4_.said && ipv6_.said) && !waitedEnough(now_ns)) return false;

    std::vector<Address> found;
    std::vector<int> unlearnt;
    for (const auto* family : {&ipv4_, &ipv6_}) {
      if (family->said) found.insert(found.end(), family->said->found.begin(), family->said->found.end());
      if (family->failed()) unlearnt.push_back(family == &ipv4_ ? AF_INET : AF_INET6);
    }
    if (!found.empty()) {
      endWith(std::move(found), std::move(unlearnt));
    } else if (!unlearnt.empty()) {
      const auto& failed = ipv4_.failed() ? ipv4_ : ipv6_;
      end(failure(Resolution::Outcome::kTemporary, host_, wordsOf(failed.said->status, channel_.servers(), "address")));
    } else {
      for (const auto* family : {&ipv4_, &ipv6_})
        if (family->said->status != ARES_ENOTFOUND) no_ = family->said->status;
      if (asked_ < candidates_.size()) {
        ask();
        return true;
      }
      end(failure(Resolution::Outcome::kNotFound, host_, wordsOf(no_, channel_.servers(), "address")));
    }
    return false;
  }

  /// Whether one family will do, now that the other has had its time. It will not where it leads nowhere.
  bool waitedEnough(std::uint64_t now_ns) {
    const auto& said = ipv4_.said ? ipv4_.said : ipv6_.said;
    if (patient_until_ == 0) {
      const bool leads = std::any_of(said->found.begin(), said->found.end(), hasRoute);
      patient_until_ = leads ? now_ns + static_cast<std::uint64_t>(Duration(kPatience).count()) : kForever;
    }
    return now_ns >= patient_until_;
  }

  void endWith(std::vector<Address> found, std::vector<int> unlearnt) {
    auto [addresses, left_out] = usable(std::move(found));
    if (addresses.empty()) return end(failure(Resolution::Outcome::kNotFound, host_, "it leads to " + left_out));
    end({Resolution::Outcome::kFound, {{host_, 0, 0, 0, std::move(addresses), std::move(unlearnt)}}, {}, left_out});
  }
  void end(Resolution resolution) {
    result_ = std::move(resolution);
    ended_ = true;
  }

  const std::string host_;
  const std::vector<std::string> candidates_;
  DnsChannel& channel_;
  const HostsFile& hosts_;
  std::size_t asked_ = 0;  // candidates
  Family ipv4_;            // of the candidate asked for last, as the next
  Family ipv6_;
  std::uint64_t patient_until_ = 0;  // 0: nothing has come; kForever: only both families will do
  int no_ = ARES_ENOTFOUND;          // why none of the candidates will do
  Resolution result_;
  bool began_ = false;
  bool ended_ = false;
};

struct Records {
  int status = ARES_SUCCESS;
  std::vector<Target> targets{};
  std::string left_out{};
};

/// The hosts of a service: by priority, each host and port once, no more than kMostTargets.
Records recordsOf(const Question& question) {
  Records records{question.status()};
  if (records.status != ARES_SUCCESS) return records;
  ares_srv_reply* list = nullptr;
  records.status = ares_parse_srv_reply(question.message().data(), static_cast<int>(question.message().size()), &list);
  const std::unique_ptr<ares_srv_reply, void (*)(void*)> owned(list, ares_free_data);
  if (records.status != ARES_SUCCESS) return records;
  auto& targets = records.targets;
  for (const auto* one = list; one != nullptr; one = one->next) {
    std::string host = one->host;
    if (host.ends_with('.')) host.pop_back();
    // "." says that the service is not offered; port 0 cannot be connected to; anything may stand in a message.
    const bool fit = one->port != 0 && (config::isHostName(host) || Address::parse(host, 0));
    if (fit) targets.push_back({std::move(host), one->port, one->priority, one->weight});
  }
  // Of records for the same host and port the first by priority counts, of these the one with the most weight.
  std::sort(targets.begin(), targets.end(), [](const auto& a, const auto& b) {
    return std::tie(a.host, a.port, a.priority, b.weight) < std::tie(b.host, b.port, b.priority, a.weight);
  });
  const auto same = [](const auto& a, const auto& b) { return a.host == b.host && a.port == b.port; };
  targets.erase(std::unique(targets.begin(), targets.end(), same), targets.end());
  std::stable_sort(targets.begin(), targets.end(), [](const auto& a, const auto& b) { return a.priority < b.priority; });
  if (targets.size() > kMostTargets) {
    records.left_out = std::to_string(targets.size() - kMostTargets) + " of " + std::to_string(targets.size()) +
                       " hosts, of which no more than " + std::to_string(kMostTargets) + " are used";
    targets.resize(kMostTargets);
  }
  if (targets.empty()) records.status = ARES_ENODATA;
  return records;
}

/// A service: its records, then each of their hosts.
class ServiceLookup : public NameLookup {
 public:
  ServiceLookup(std::string name, std::string service, DnsChannel& channel, const HostsFile& hosts)
      : name_(std::move(name)), candidates_(channel.candidates(service)), channel_(channel), hosts_(hosts) {}

  bool advance(std::uint64_t now_ns) override {
    if (asked_ == 0) ask();
    while (!ended_ && !listed_ && records_.answered()) judge();
    if (!ended_ && listed_ && allAdvanced(now_ns)) gather();
    return ended_;
  }
  std::uint64_t patientUntil() const override {
    std::uint64_t earliest = 0;
    for (const auto& [host, lookup] : lookups_)
      if (const auto until = lookup->patientUntil(); until != 0 && (earliest == 0 || until < earliest)) earliest = until;
    return earliest;
  }
  Resolution result() override { return std::move(result_); }

 private:
  void ask() { records_.ask(channel_, candidates_[asked_++], ns_t_srv); }

  void judge() {
    auto [status, targets, left_out] = recordsOf(records_);
    if (status == ARES_SUCCESS) {
      listed_ = true;
      result_ = {Resolution::Outcome::kFound, std::move(targets), {}, std::move(left_out)};
      // A host in a record is complete already.
      for (const auto& target : result_.targets)
        if (!Address::parse(target.host, 0))
          lookups_.try_emplace(target.host, std::make_unique<HostLookup>(
                                                target.host, std::vector{target.host + "."}, channel_, hosts_));
    } else if (!saysNo(status) || asked_ == candidates_.size()) {
      const auto outcome = saysNo(status) ? Resolution::Outcome::kNotFound : Resolution::Outcome::kTemporary;
      result_ = failure(outcome, name_, wordsOf(status, channel_.servers(), "SRV record with a host"));
      ended_ = true;
    } else {
      ask();
    }
  }

  bool allAdvanced(std::uint64_t now_ns) {
    bool all = true;
    for (const auto& [host, lookup] : lookups_) all = lookup->advance(now_ns) && all;
    return all;
  }

  void gather() {
    std::map<std::string, Resolution> hosts;
    for (const auto& [host, lookup] : lookups_) hosts[host] = lookup->result();
    std::size_t room = kMostOfService;
    for (auto& target : result_.targets) {
      const auto& host = hosts[target.host];
      if (const auto numeric = Address::parse(target.host, 0)) {
        target.addresses = {*numeric};
      } else if (host.ok()) {
        target.addresses = host.targets.front().addresses;
        target.unlearnt = host.targets.front().unlearnt;
        if (!host.left_out.empty()) leaveOut("of host " + target.host + " " + host.left_out);
      } else {
        target.unlearnt = {AF_INET, AF_INET6};
        leaveOut(host.error);
      }
      if (target.addresses.size() > room) {
        target.addresses.resize(room);
        leaveOut("addresses beyond " + std::to_string(kMostOfService));
      }
      room -= target.addresses.size();
    }
    std::erase_if(result_.targets, [](const auto& target) { return target.addresses.empty() && target.unlearnt.empty(); });
    ended_ = true;
  }

  /// One of these is enough to tell what kind of thing is left out.
  void leaveOut(const std::string& what) {
    if (result_.left_out.empty()) result_.left_out = what;
  }

  const std::string name_;
  const std::vector<std::string> candidates_;
  DnsChannel& channel_;
  const HostsFile& hosts_;
  std::size_t asked_ = 0;  // candidates
  Question records_;       // of the candidate asked for last
  bool listed_ = false;    // the records are there
  std::map<std::string, std::unique_ptr<HostLookup>> lookups_;  // by host
  Resolution result_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<NameLookup> makeNameLookup(const std::string& name, DnsChannel& channel, const HostsFile& hosts) {
  if (config::isService(name))
    return std::make_unique<ServiceLookup>(name, name.substr(config::kServicePrefix.size()), channel, hosts);
  return std::make_unique<HostLookup>(name, channel.candidates(name), channel, hosts);
}

}  // namespace lemonade
