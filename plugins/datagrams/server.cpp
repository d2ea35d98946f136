// SPDX-License-Identifier: MIT
#include "server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace lemonade::datagrams {

namespace {

constexpr std::string_view kExpected = R"(give "host:port", "[IPv6]:port" or "unix:/path")";
constexpr std::string_view kUnix = "unix:";

bool isPort(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65'535;
}

bool isNumber(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 || ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

}  // namespace

Address Address::parse(std::string_view text) {
  Address address;
  address.text = text;
  if (text.substr(0, kUnix.size()) == kUnix) {
    address.path = text.substr(kUnix.size());
    if (address.path.empty() || address.path.front() != '/')
      throw std::invalid_argument("the path of a Unix socket begins with \"/\"");
    if (address.path.size() >= sizeof(sockaddr_un::sun_path))
      throw std::invalid_argument("the path of a Unix socket has at most 107 bytes");
    return address;
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || !isPort(text.substr(colon + 1)))
    throw std::invalid_argument(std::string(kExpected) + ", with a port from 1 to 65535");
  auto host = text.substr(0, colon);
  address.port = text.substr(colon + 1);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  address.host = host;
  address.is_number = isNumber(address.host);
  const bool colons = host.find(':') != std::string_view::npos;
  if (host.empty() || colons != brackets || (brackets && !address.is_number) ||
      host.find_first_of(" \t\r\n[]/") != std::string_view::npos)
    throw std::invalid_argument(std::string(kExpected));
  return address;
}

Server::Server(Address address, std::chrono::nanoseconds resolve_interval)
    : address_(std::move(address)), resolve_interval_(resolve_interval), resolver_(address_.host, address_.port) {}

void Server::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Server::open(std::uint64_t now_ns, std::chrono::nanoseconds wait) {
  if (address_.path.empty())
    openName(now_ns, wait);
  else if (fd_ < 0)
    openPath();
}

void Server::openPath() {
  SocketAddress target;
  auto& local = reinterpret_cast<sockaddr_un&>(target.storage);
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, address_.path.c_str(), address_.path.size() + 1);
  target.size = sizeof(sockaddr_un);
  connect(target);
}

void Server::openName(std::uint64_t now_ns, std::chrono::nanoseconds wait) {
  if (fd_ >= 0 && address_.is_number) return;
  if (fd_ < 0 || now_ns >= resolve_due_ns_) {
    resolver_.start();
    resolve_due_ns_ = now_ns + static_cast<std::uint64_t>(resolve_interval_.count());
  }
  const auto found = resolver_.take(fd_ < 0 ? wait : std::chrono::nanoseconds(0));
  if (!found && fd_ < 0) throw std::runtime_error(address_.host + " is still being looked up");
  if (!found) return;
  for (const auto& target : found->addresses) {
    try {
      return connect(target);
    } catch (const std::runtime_error& e) {
      reason_ = e.what();
    }
  }
  // With a socket, what was found before goes on being used.
  if (fd_ < 0) throw std::runtime_error(found->problem.empty() ? reason_ : address_.text + ": " + found->problem);
}

void Server::connect(const SocketAddress& target) {
  const int fd = ::socket(target.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&target.storage), target.size) != 0) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    throw std::runtime_error("no way to " + address_.text + ": " + std::generic_category().message(error));
  }
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Sent Server::send(std::string_view datagram, std::chrono::nanoseconds wait) {
  int error = trySend(datagram, wait);
  const bool refused = error == ECONNREFUSED || error == ENOTCONN || error == ECONNRESET;
  if (refused && !address_.path.empty()) {
    try {
      openPath();
      error = trySend(datagram, wait);
    } catch (const std::runtime_error& e) {
      close();
      reason_ = e.what();
      return Sent::failed;
    }
  }
  if (error == 0) return Sent::yes;
  if (error == EAGAIN || error == ENOBUFS) {
    reason_ = address_.text + " does not keep up";
    return Sent::full;
  }
  reason_ = address_.text + ": " + std::generic_category().message(error);
  if (refused && address_.path.empty()) return Sent::refused;
  close();
  return Sent::failed;
}

int Server::trySend(std::string_view datagram, std::chrono::nanoseconds wait) const noexcept {
  const auto end = std::chrono::steady_clock::now() + wait;
  while (::send(fd_, datagram.data(), datagram.size(), MSG_NOSIGNAL) < 0) {
    const int error = errno;
    if (error == EINTR) continue;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd writable{fd_, POLLOUT, 0};
    if (error != EAGAIN || left <= 0 || ::poll(&writable, 1, static_cast<int>(left)) == 0) return error;
  }
  return 0;
}

}  // namespace lemonade::datagrams
