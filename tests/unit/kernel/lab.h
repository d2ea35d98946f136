// SPDX-License-Identifier: MIT
//
// Networks in which tests ask the real kernel. A test body runs within inTestNetwork(); it makes further networks as it
// needs them, and all of it goes with the test.
#pragma once

#include "balance/address.h"
#include "base/fd.h"
#include "support/socket.h"

#include <cstdint>
#include <functional>
#include <string>

namespace lemonade::test {

/// Runs body on a thread with a network of its own, in which loopback is up; skips the test where this may not be had.
/// Assertions of the body are those of the test.
void inTestNetwork(const std::function<void()>& body);

/// Runs a command line of the shell in the network of the calling thread. Throws where it fails.
void shell(const std::string& command);
/// Gives rules to nft in the network of the calling thread. Throws where it does not take them.
void nft(const std::string& rules);
/// A rule that sends the SYNs of IPv4, or of IPv6, to a TCP port from this host to an NFQUEUE, past which they go where
/// nobody has bound it. Skips the test where there is no way to make one.
void queueSyns(std::uint16_t port, std::uint16_t queue, bool ipv6 = false);

/// Another network than the calling thread's, in which loopback is up.
class Network {
 public:
  Network();

  /// Runs body within it. Sockets that are made there stay there.
  void in(const std::function<void()>& body) const;
  /// As `ip link set ... netns` takes it.
  std::string path() const;

 private:
  Fd fd_;
};

/// Links the network of the calling thread to both, and has it forward between them. It is 10.77.1.1 and fd77:1::1 to
/// the client, which is 10.77.1.2 and fd77:1::2, and the same with 10.77.2 and fd77:2 to the backends. The device of
/// either is called "uplink".
void forwardBetween(const Network& client, const Network& backends);

/// A client, the network of the calling thread as a balancer, and a backend, one behind the other. Connections to port
/// 9000 of the balancer go to port 8000 of the backend and are marked; packets marked with kResetMark that the balancer
/// sends are not tracked.
class ForwardingLab {
 public:
  static constexpr std::uint32_t kFlowMark = 0x4c4d0001;
  static constexpr std::uint32_t kKeptMark = 0x4c4d8001;  ///< of those that keep their source
  static constexpr std::uint32_t kResetMark = 0x4c4d7ffe;

  enum class Family { kIpv4, kIpv6 };
  enum class Source { kMasquerade, kKeep };

  explicit ForwardingLab(Family family = Family::kIpv4, Source source = Source::kMasquerade);

  /// A connection through the balancer, seen from both of its ends.
  struct Connection {
    Socket client;
    Socket backend;
  };
  Connection connect();

 private:
  Network client_;
  Network backend_;
  std::string address_;  // of the balancer
  Fd listening_;
};

/// Begins to connect without waiting. The socket becomes writable when that has ended.
Fd beginConnect(const std::string& address);
/// Waits until connecting has ended; 0, or the errno that it ended with.
int connected(int fd);
/// How often the socket has sent anything again.
unsigned retransmits(int fd);
/// Accepts what has been connected, and waits for that.
Socket acceptOn(int listening);
/// True where the descriptor becomes readable within ten seconds.
bool readable(int fd);

/// Takes a capability (CAP_NET_ADMIN) from the calling thread for ever.
void giveUpCapability(unsigned capability);

}  // namespace lemonade::test
