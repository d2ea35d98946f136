// SPDX-License-Identifier: MIT
#include "doctor/proc_net.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace lemonade::doctor {

namespace {

constexpr const char* kListen = "0A";

/// An address as the kernel prints it: words of 32 bits in the order of this machine, in hexadecimal digits, and a
/// port.
std::optional<Address> parseAddress(const std::string& text) {
  const auto colon = text.find(':');
  if (colon != 8 && colon != 32) return std::nullopt;
  unsigned char bytes[16]{};
  for (std::size_t word = 0; word < colon / 8; ++word) {
    std::uint32_t value = 0;
    const char* const begin = text.data() + word * 8;
    if (std::from_chars(begin, begin + 8, value, 16).ptr != begin + 8) return std::nullopt;
    std::memcpy(bytes + word * 4, &value, sizeof(value));
  }
  std::uint16_t port = 0;
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), port, 16);
  in6_addr any{};
  std::memcpy(&any, bytes, sizeof(any));
  const bool within = colon == 32 && IN6_IS_ADDR_V4MAPPED(&any);
  char host[INET6_ADDRSTRLEN]{};
  const bool four = colon == 8 || within;
  ::inet_ntop(four ? AF_INET : AF_INET6, bytes + (within ? 12 : 0), host, sizeof(host));
  return Address::parse(host, port);
}

std::optional<int> pidOf(const std::filesystem::path& folder) {
  const std::string name = folder.filename();
  int pid = 0;
  const auto end = std::from_chars(name.data(), name.data() + name.size(), pid);
  return end.ptr == name.data() + name.size() && pid > 0 ? std::optional(pid) : std::nullopt;
}

bool hasOpen(const std::filesystem::path& process, const std::string& socket) {
  std::error_code failed;
  for (std::filesystem::directory_iterator one(process / "fd", failed), end; !failed && one != end;
       one.increment(failed)) {
    std::error_code gone;
    if (std::filesystem::read_symlink(one->path(), gone) == socket) return true;
  }
  return false;
}

}  // namespace

std::vector<TcpSocket> tcpSockets(const std::string& proc) {
  std::vector<TcpSocket> sockets;
  for (const char* file : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream in(proc + file);
    std::string line;
    std::getline(in, line);  // what the columns are
    while (std::getline(in, line)) {
      std::istringstream words(line);
      std::string number, local, remote, state, skipped;
      TcpSocket socket;
      words >> number >> local >> remote >> state;
      for (int i = 0; i < 5; ++i) words >> skipped;
      words >> socket.inode;
      const auto from = parseAddress(local), to = parseAddress(remote);
      if (!words || !from || !to) continue;
      socket.local = *from;
      socket.remote = *to;
      socket.listening = state == kListen;
      sockets.push_back(socket);
    }
  }
  return sockets;
}

std::optional<Holder> holderOf(std::uint64_t inode, const std::string& proc) {
  const std::string socket = "socket:[" + std::to_string(inode) + "]";
  std::optional<Holder> holder;
  std::error_code failed;
  for (std::filesystem::directory_iterator one(proc, failed), end; !failed && one != end; one.increment(failed)) {
    const auto pid = pidOf(one->path());
    if (!pid || (holder && holder->pid < *pid) || !hasOpen(one->path(), socket)) continue;
    std::string name;
    std::getline(std::ifstream(one->path() / "comm"), name);
    holder = Holder{*pid, name};
  }
  return holder;
}

}  // namespace lemonade::doctor
