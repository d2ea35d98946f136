// SPDX-License-Identifier: MIT
//
// Sockets of the tests: see socket.h.
#include "support/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace lemonade::test {
namespace {

struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

[[noreturn]] void failWith(const std::string& what, int error) {
  if (error == ECONNRESET || error == EPIPE || error == ECONNREFUSED)
    throw ResetError(what + ": " + std::strerror(error));
  throw std::system_error(error, std::generic_category(), what);
}

Endpoint parse(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) throw std::invalid_argument("no port in the address \"" + address + "\"");
  std::string host = address.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found) != 0)
    throw std::invalid_argument("not a numeric address: \"" + address + "\"");
  Endpoint endpoint;
  std::memcpy(&endpoint.storage, found->ai_addr, found->ai_addrlen);
  endpoint.size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return endpoint;
}

std::string textOf(const Endpoint& endpoint) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  ::getnameinfo(endpoint.get(), endpoint.size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
  const bool bracketed = endpoint.storage.ss_family == AF_INET6;
  return (bracketed ? "[" + std::string(host) + "]" : std::string(host)) + ":" + port;
}

Fd openSocket(const Endpoint& endpoint) {
  Fd fd(::socket(endpoint.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) failWith("socket", errno);
  return fd;
}

void setOption(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof(value)); }

}  // namespace

Socket Socket::connect(const std::string& address, const std::string& from, Millis within) {
  const Endpoint to = parse(address);
  Socket socket(openSocket(to));
  setOption(socket.fd(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (!from.empty()) {
    const Endpoint own = parse(from);
    if (::bind(socket.fd(), own.get(), own.size) != 0) failWith("bind to " + from, errno);
  }
  if (::connect(socket.fd(), to.get(), to.size) == 0) return socket;
  if (errno != EINPROGRESS) failWith("connect to " + address, errno);
  socket.waitFor(POLLOUT, Deadline(within), "connecting");
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) failWith("connect to " + address, error);
  return socket;
}

void Socket::waitFor(short events, const Deadline& deadline, const char* what) {
  pollfd entry{fd_.get(), events, 0};
  int ready = 0;
  while ((ready = ::poll(&entry, 1, deadline.remainingMillis())) < 0 && errno == EINTR) {
  }
  if (ready < 0) failWith("poll", errno);
  if (ready == 0) throw TimeoutError(std::string("timed out ") + what);
}

void Socket::send(std::string_view bytes, Millis within) {
  const Deadline deadline(within);
  while (!bytes.empty()) {
    const std::size_t sent = sendSome(bytes);
    bytes.remove_prefix(sent);
    if (!bytes.empty()) waitFor(POLLOUT, deadline, "sending");
  }
}

std::size_t Socket::sendSome(std::string_view bytes) {
  std::size_t total = 0;
  while (total < bytes.size()) {
    const auto sent = ::send(fd_.get(), bytes.data() + total, bytes.size() - total, MSG_NOSIGNAL);
    if (sent >= 0) {
      total += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      failWith("send", errno);
    }
  }
  return total;
}

std::size_t Socket::receiveSome(char* to, std::size_t capacity, Millis within) {
  const Deadline deadline(within);
  while (true) {
    const auto size = ::recv(fd_.get(), to, capacity, 0);
    if (size >= 0) return static_cast<std::size_t>(size);
    if (errno == EAGAIN) {
      waitFor(POLLIN, deadline, "receiving");
    } else if (errno != EINTR) {
      failWith("receive", errno);
    }
  }
}

std::string Socket::receive(std::size_t size, Millis within) {
  std::string bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const std::size_t got = receiveSome(bytes.data() + have, size - have, within);
    if (got == 0) break;
    have += got;
  }
  bytes.resize(have);
  return bytes;
}

std::string Socket::receiveLine(Millis within) {
  std::string line;
  char byte = 0;
  while (receiveSome(&byte, 1, within) == 1 && byte != '\n') line += byte;
  return line;
}

std::string Socket::receiveAll(Millis within) {
  std::string bytes;
  std::string buffer(256 * 1024, '\0');
  while (const std::size_t got = receiveSome(buffer.data(), buffer.size(), within)) bytes.append(buffer, 0, got);
  return bytes;
}

End Socket::next(Millis within) {
  try {
    waitFor(POLLIN, Deadline(within), "waiting");
  } catch (const TimeoutError&) {
    return End::kOpen;
  }
  char byte = 0;
  const auto size = ::recv(fd_.get(), &byte, 1, MSG_PEEK);
  if (size == 0) return End::kClosed;
  return size > 0 ? End::kBytes : End::kReset;
}

void Socket::finishSending() {
  if (::shutdown(fd_.get(), SHUT_WR) != 0) failWith("shutdown", errno);
}

void Socket::reset() {
  const linger at_once{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  fd_.reset();
}

std::string Socket::localAddress() const { return localAddressOf(fd_.get()); }

std::string Socket::peerAddress() const {
  Endpoint endpoint;
  endpoint.size = sizeof(endpoint.storage);
  if (::getpeername(fd_.get(), endpoint.get(), &endpoint.size) != 0) failWith("getpeername", errno);
  return textOf(endpoint);
}

Fd bindTo(const std::string& address) {
  const Endpoint endpoint = parse(address);
  Fd fd = openSocket(endpoint);
  setOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (::bind(fd.get(), endpoint.get(), endpoint.size) != 0) failWith("bind to " + address, errno);
  return fd;
}

Fd listenOn(const std::string& address, int backlog) {
  Fd fd = bindTo(address);
  if (::listen(fd.get(), backlog) != 0) failWith("listen on " + address, errno);
  return fd;
}

std::string localAddressOf(int fd) {
  Endpoint endpoint;
  endpoint.size = sizeof(endpoint.storage);
  if (::getsockname(fd, endpoint.get(), &endpoint.size) != 0) failWith("getsockname", errno);
  return textOf(endpoint);
}

std::uint16_t portOf(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

}  // namespace lemonade::test
