// SPDX-License-Identifier: MIT
//
// Tracked connections over loopback, each marked by the port that it goes to.
#pragma once

#include "kernel/tuple.h"
#include "lab.h"

#include <string>

namespace lemonade::test {

constexpr std::uint32_t kWantedMark = 0x4c4d0001;
constexpr std::uint32_t kWantedMask = 0xffff0000;

/// Connections to port 9000 get kWantedMark, those to port 9001 another mark, and all others none. What is counted of
/// them, and when, is kept where counted is true.
inline void trackFlows(bool counted = true) {
  const std::string value = counted ? "1" : "0";
  nft(R"(table inet flows {
           chain note {
             type filter hook output priority mangle;
             tcp flags & (fin|syn|rst|ack) != syn accept
             tcp dport 9000 ct mark set 0x4c4d0001
             tcp dport 9001 ct mark set 0x11110001
           }
         })");
  shell("echo " + value + " >/proc/sys/net/netfilter/nf_conntrack_acct");
  shell("echo " + value + " >/proc/sys/net/netfilter/nf_conntrack_timestamp");
}

/// A connection, with both of its ends.
struct Flow {
  explicit Flow(const std::string& address) : listening(listenOn(address)) {
    client = Socket::connect(address);
    server = acceptOn(listening.get());
  }

  kernel::Tuple tuple() const {
    return kernel::Tuple::between(Address::parse(client.localAddress()).value(),
                                  Address::parse(client.peerAddress()).value());
  }

  Fd listening;
  Socket client;
  Socket server;
};

}  // namespace lemonade::test
