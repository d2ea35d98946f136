// SPDX-License-Identifier: MIT
//
// What the nft table is to be, as plain data, and what rules and elements that comes to. Nothing here talks to the
// kernel. Any thread.
//
// A SYN of a client goes through these chains, with the names that `nft list table inet lemonade` shows:
//
//   ask       while the set `alive` says that somebody answers, a SYN of a new connection to an address of a listener
//             goes to the queue of the balancer, whose verdict sets the mark of the packet
//   refuse    a packet with the mark of a refusal is answered with a RST
//   choose    leads to the chain of the listener: a packet without a mark of ours gets that of an eligible backend at
//             random, by weight; the mark is stored with the connection, whose packets all go to the backend from here
//   leave     the connection gets the balancer's own address, unless its mark says to keep the client's
//
// Clients on the balancer's own machine meet ask_local, refuse_local and choose_local instead.
//
// Where a connection is ended, the packets by which its ends are provoked (see resets.h) leave in the sets `ended4` and
// `ended6` what the answers look like. Within ten seconds such an answer is reset at `ended`, wherever it was going: a
// client whose address was kept may be gone, and a firewall may drop what belongs to no connection.
#pragma once

#include "balance/address.h"
#include "base/clock.h"
#include "base/result.h"

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace lemonade::kernel {

/// What the table is to be.
struct TablePlan {
  struct Backend {
    std::uint32_t slot = 0;  ///< kFirstSlot to kLastSlot, one backend each
    Address address{};       ///< IPv4 or IPv6
    std::string name{};      ///< "pool/id", for people; what nft cannot say of it is replaced, and the end cut off
    std::uint64_t identity = 0;

    bool operator==(const Backend&) const = default;
  };
  struct Choice {
    std::uint32_t slot = 0;
    std::uint32_t weight = 0;  ///< 0: never

    bool operator==(const Choice&) const = default;
  };
  struct Listener {
    std::uint32_t number = 0;          ///< one listener each
    std::vector<Address> addresses{};  ///< IPv4 or IPv6 with a port; 0.0.0.0 and :: stand for each of the machine's
    bool keep_source = false;          ///< backends see the client's address
    Duration idle_timeout{};           ///< 0: none; rounded up to seconds, and 24 days at most
    std::vector<Choice> eligible{};    ///< where nobody was asked; a backend serves the addresses of its family

    bool operator==(const Listener&) const = default;
  };

  std::uint16_t tag = 0;
  std::uint16_t queue = 0;
  std::vector<Backend> backends{};
  std::vector<Listener> listeners{};

  bool operator==(const TablePlan&) const = default;
};

/// What is wrong with a plan, which is a mistake of the caller: slots or numbers that come twice or are out of range,
/// addresses that are none of IPv4 or IPv6, or have no port.
Status checkPlan(const TablePlan& plan);

/// What the table holds, by name, as nft writes it.
struct Contents {
  /// Of each set and map: the key of each element, and what follows it.
  std::map<std::string, std::map<std::string, std::string>> elements{};
  /// Of each chain, in order.
  std::map<std::string, std::vector<std::string>> rules{};
  /// Seconds that an idle connection may last, each an object of its own.
  std::set<std::uint64_t> idle_timeouts{};

  bool operator==(const Contents&) const = default;
};

/// How the rule that queues is made: by the commands, or otherwise (see queue_rule.h).
enum class QueueBy { kNft, kTarget };

/// What a plan comes to. The plan must be right.
Contents contentsOf(const TablePlan& plan, QueueBy queue_by);

/// The name of the object for that many seconds.
std::string idleName(std::uint64_t seconds);

/// The chain that the queue's rule stands in.
inline constexpr const char* kQueueChain = "to_queue";
/// The chain of the rule that refuses, by whose mark the tag is known.
inline constexpr const char* kRefusalChain = "refuse";
/// The maps from marks to addresses of backends.
inline constexpr const char* kBackends4 = "backends4";
inline constexpr const char* kBackends6 = "backends6";
/// The maps from addresses, and from ports of 0.0.0.0 and [::], to chains of listeners.
inline constexpr const char* kEntrances4 = "entrances4";
inline constexpr const char* kEntrances6 = "entrances6";
inline constexpr const char* kEntrancePorts4 = "entrance_ports4";
inline constexpr const char* kEntrancePorts6 = "entrance_ports6";
/// How the name of a listener's chain begins; its number follows.
inline constexpr const char* kListenerChain = "listener_";

}  // namespace lemonade::kernel
