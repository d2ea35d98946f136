// SPDX-License-Identifier: MIT
#include "admin/peer.h"

#include "balance/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace lemonade::admin {

namespace {

bool isOwnMachine(const sockaddr_in& address) { return ntohl(address.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET; }

/// IPv4 comes as ::ffff:127.0.0.1 where one socket listens for both.
bool isOwnMachine(const sockaddr_in6& address) {
  const auto& bytes = address.sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&bytes) || (IN6_IS_ADDR_V4MAPPED(&bytes) && bytes.s6_addr[12] == IN_LOOPBACKNET);
}

Peer unixPeer(int socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {Peer::From::kUnix, "unix:"};
  return {Peer::From::kUnix, "unix:uid=" + std::to_string(credentials.uid) + " pid=" + std::to_string(credentials.pid)};
}

}  // namespace

Peer peerOf(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  const auto* const any = reinterpret_cast<sockaddr*>(&storage);
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  if (any->sa_family == AF_UNIX) return unixPeer(socket);
  const bool own = any->sa_family == AF_INET
                       ? isOwnMachine(reinterpret_cast<const sockaddr_in&>(storage))
                       : any->sa_family == AF_INET6 && isOwnMachine(reinterpret_cast<const sockaddr_in6&>(storage));
  return {own ? Peer::From::kLoopback : Peer::From::kElsewhere, Address(any, size).text()};
}

}  // namespace lemonade::admin
