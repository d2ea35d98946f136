// SPDX-License-Identifier: MIT
//
// What a machine lacks for forwarding by the kernel: rights, parts of the kernel, settings, room, and rules of others
// that are in the way. Only looks, but for turnOnAccounting(). Any thread, in the network namespace of which it speaks.
#pragma once

#include "balance/address.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::kernel {

/// Something that is missing or in the way.
struct Lack {
  bool fatal = false;  ///< clients are hurt, or nothing is forwarded; else it hurts under load, or numbers are missing
  std::string what;    ///< a sentence without its full stop
  std::string mend;    ///< a command, or what to write where

  bool operator==(const Lack&) const = default;
};
using Lacks = std::vector<Lack>;

/// What is to be forwarded.
struct Wants {
  bool ipv4 = false;  ///< there are listeners on addresses of the family
  bool ipv6 = false;
  bool masquerade = false;          ///< a listener gives connections the balancer's own address
  std::uint64_t connections = 0;    ///< of all listeners at once, as max_connections says
  std::vector<Address> backends{};  ///< those that are known now
  bool exchanges = false;           ///< are timed
};

/// Rights of this process: CAP_NET_ADMIN for everything, CAP_NET_RAW to end connections. proc is the folder, "/proc".
Lacks examineRights(const std::string& proc);

/// Settings, and the room for connections. What the kernel does not say is passed over.
Lacks examineSettings(const Wants& wants, const std::string& proc);

/// Whether the kernel would take a table like that of this name, see Table::check(). Nothing where a right is missing.
Lacks examineParts(const std::string& table);

/// What timing exchanges takes besides: a build that can, CAP_BPF and CAP_PERFMON, and Linux 6.4 with its types.
Lacks examineExchanges(const std::string& proc);

/// Chains of others that drop what is forwarded unless one of their rules accepts it. chains is what `nft -j list
/// chains` shows.
Lacks examineForwardChains(std::string_view chains);

/// All of that, of this machine.
Lacks examineSupport(const std::string& table, std::uint16_t tag, const Wants& wants,
                     const std::string& proc = "/proc");

/// What turnOnAccounting() came to, by the names of settings.
struct Accounting {
  std::vector<std::string> turned_on{};
  std::vector<std::string> refused{};  ///< off, and this process may not turn it on
};

/// Turns on net.netfilter.nf_conntrack_acct, nf_conntrack_timestamp and nf_conntrack_events where they are off, or on
/// demand: connections that begin from now on are counted and timed, and their ends are told also to who comes later.
/// They stay on when the process ends.
Accounting turnOnAccounting(const std::string& proc = "/proc");

}  // namespace lemonade::kernel
