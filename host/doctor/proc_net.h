// SPDX-License-Identifier: MIT
//
// The sockets of this machine, or of the network namespace, as /proc lists them, and who holds one. Where /proc says
// nothing there are none.
#pragma once

#include "balance/address.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::doctor {

/// A line of /proc/net/tcp or tcp6. An IPv4 address within IPv6 is given as IPv4.
struct TcpSocket {
  Address local;
  Address remote;
  bool listening = false;
  std::uint64_t inode = 0;
};

/// All of them. proc is the folder, "/proc".
std::vector<TcpSocket> tcpSockets(const std::string& proc);

struct Holder {
  int pid = 0;
  std::string name;  ///< of the program
};

/// Who has the socket of this inode open, of the processes that this one may look into; the one with the lowest id.
std::optional<Holder> holderOf(std::uint64_t inode, const std::string& proc);

}  // namespace lemonade::doctor
