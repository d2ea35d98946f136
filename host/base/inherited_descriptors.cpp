// SPDX-License-Identifier: MIT
#include "base/inherited_descriptors.h"

#include "base/socket_address.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace lemonade {

namespace {

/// A stream socket that has neither a peer nor clients: bound to keep its address, where the kernel forwards.
bool isBoundAlone(int fd) {
  sockaddr_storage peer{};
  socklen_t size = sizeof(peer);
  return ::sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 0) > 0 &&
         ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 && errno == ENOTCONN;
}

/// Where a TCP or Unix socket listens, or could; of family AF_UNSPEC for anything else. The rest of a shorter name is
/// zero.
sockaddr_storage listensAt(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  const bool listens = ::sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0;
  if (!listens && !isBoundAlone(fd)) return address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) address = {};
  const bool is_ip = address.ss_family == AF_INET || address.ss_family == AF_INET6;
  if (!is_ip && !(listens && address.ss_family == AF_UNIX)) address = {};
  return address;
}

std::uint16_t portOf(const sockaddr* address) {
  return address->sa_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(address)->sin6_port
                                        : reinterpret_cast<const sockaddr_in*>(address)->sin_port;
}

bool sameIp(const sockaddr* a, const sockaddr* b) {
  if (a->sa_family != b->sa_family || a->sa_family == AF_UNIX) return false;
  if (a->sa_family == AF_INET6)
    return std::memcmp(&reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr,
                       &reinterpret_cast<const sockaddr_in6*>(b)->sin6_addr, sizeof(in6_addr)) == 0;
  return reinterpret_cast<const sockaddr_in*>(a)->sin_addr.s_addr ==
         reinterpret_cast<const sockaddr_in*>(b)->sin_addr.s_addr;
}

/// The name of a Unix socket with zeros behind it; an abstract one begins with a zero.
std::string_view unixNameOf(const sockaddr* address) {
  return {reinterpret_cast<const sockaddr_un*>(address)->sun_path, sizeof(sockaddr_un::sun_path)};
}

/// The path is still there to connect to. Whoever removes a socket's file leaves one that nobody reaches.
bool isReached(const sockaddr* address) {
  const auto& path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
  struct stat status {};
  return path[0] == '\0' || (::lstat(path, &status) == 0 && S_ISSOCK(status.st_mode));
}

ino_t inodeOf(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/// What a socket is for that a service manager calls so: "proxy" of "kept-proxy-127.0.0.1_80".
std::string purposeOf(const std::string& called) {
  if (!called.starts_with(InheritedDescriptors::kKept)) return called;
  const auto start = std::strlen(InheritedDescriptors::kKept);
  return called.substr(start, called.find('-', start) - start);
}

const sockaddr* any(const sockaddr_storage& address) { return reinterpret_cast<const sockaddr*>(&address); }

}  // namespace

InheritedDescriptors InheritedDescriptors::fromEnvironment() {
  InheritedDescriptors inherited;
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &names);
  for (int i = 0; i < count; ++i) {
    Held held{Fd(SD_LISTEN_FDS_START + i), purposeOf(names[i]), names[i]};
    ::free(names[i]);
    const auto inode = inodeOf(held.fd.get());
    if (held.called != held.name) inherited.kept_[held.called] = inode;
    // A service manager may hold a socket for us and have kept it as well.
    const auto again = [inode](const Held& one) { return inodeOf(one.fd.get()) == inode; };
    if (std::any_of(inherited.held_.begin(), inherited.held_.end(), again)) continue;
    held.address = listensAt(held.fd.get());
    const int flags = ::fcntl(held.fd.get(), F_GETFL);
    if (held.address.ss_family != AF_UNSPEC) (void)::fcntl(held.fd.get(), F_SETFL, flags | O_NONBLOCK);
    inherited.held_.push_back(std::move(held));
  }
  if (count > 0) ::free(names);
  return inherited;
}

bool InheritedDescriptors::activated() const noexcept {
  return std::any_of(held_.begin(), held_.end(), [](const Held& held) { return held.called == held.name; });
}

template <class Matches>
Fd InheritedDescriptors::takeFirst(const Matches& matches) {
  const auto found = std::find_if(held_.begin(), held_.end(), matches);
  if (found == held_.end()) return Fd();
  Fd fd = std::move(found->fd);
  held_.erase(found);
  return fd;
}

Fd InheritedDescriptors::take(std::string_view name) {
  return takeFirst([name](const Held& held) { return held.name == name; });
}

Fd InheritedDescriptors::takeListener(const sockaddr* address, std::string_view name) {
  if (address->sa_family == AF_UNIX) {
    return takeFirst([&](const Held& held) {
      return held.address.ss_family == AF_UNIX && (name.empty() || held.name == name) &&
             unixNameOf(any(held.address)) == unixNameOf(address) && isReached(address);
    });
  }
  return takeFirst([&](const Held& held) {
    if (!sameIp(any(held.address), address)) return false;
    return portOf(address) == 0 ? held.name == name : portOf(any(held.address)) == portOf(address);
  });
}

std::vector<std::pair<std::string, Fd>> InheritedDescriptors::takeListeners() {
  std::vector<std::pair<std::string, Fd>> listeners;
  for (auto& held : held_)
    if (held.address.ss_family != AF_UNSPEC) listeners.emplace_back(held.called, std::move(held.fd));
  std::erase_if(held_, [](const Held& held) { return !held.fd; });
  return listeners;
}

std::vector<std::string> InheritedDescriptors::closeRest() {
  std::vector<std::string> rest;
  for (const auto& held : held_) {
    const bool listens = held.address.ss_family != AF_UNSPEC;
    rest.push_back(held.called);
    if (listens) rest.back().append(1, ' ').append(socketAddressText(held.address));
  }
  held_.clear();
  return rest;
}

}  // namespace lemonade
