// SPDX-License-Identifier: MIT
#include "proxy/listening_socket.h"

#include "base/listen_mend.h"
#include "proxy/socket_state.h"

#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

namespace lemonade::proxy {

namespace {

/// Null, or the name of the call that failed.
const char* bindAndListen(int fd, const Address& address, std::uint32_t backlog) noexcept {
  if (::bind(fd, address.get(), address.size()) != 0) return "bind";
  return ::listen(fd, static_cast<int>(backlog)) != 0 ? "listen" : nullptr;
}

/// A TCP socket that may be bound to the address; owns nothing where there is none.
Fd unboundFor(const Address& address) noexcept {
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fd;
  setOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  // [::] serves IPv6 alone, so that 0.0.0.0 and [::] can be listed side by side.
  if (address.family() == AF_INET6) setOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  return fd;
}

/// Has the address a port that is free, for as long as what is returned lives. A socket that the system itself gives a
/// port to loses that when it no longer listens; one that asks for it keeps it, and may do so beside this one.
Fd choosePort(Address& address) noexcept {
  Fd fd = unboundFor(address);
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (fd && ::bind(fd.get(), address.get(), address.size()) == 0 &&
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0)
    address = Address(reinterpret_cast<const sockaddr*>(&bound), size);
  return fd;
}

/// What accepted sockets inherit.
void setOptions(int fd, int family) noexcept {
  if (family != AF_UNIX) setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  setOption(fd, SOL_SOCKET, SO_OOBINLINE, 1);  // urgent data is carried as ordinary data
}

}  // namespace

Result<std::shared_ptr<const ListeningSocket>> ListeningSocket::open(const Address& address, std::uint32_t backlog,
                                                                     const Keepalive& keepalive, const Sockets& going,
                                                                     const UnixAccess& access) {
  const auto fail = [&](const char* what) {
    const int error = errno;
    return Error{"cannot listen on " + address.text() + ": " + what + ": " + std::strerror(error) + listenMend(error)};
  };
  const auto tuned = [&](Fd fd, UnixName name) {
    auto socket = made(std::move(fd), std::move(name), address);
    if (socket) socket.value()->tune(backlog, keepalive);
    return socket;
  };
  if (address.isUnix()) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return fail("socket");
    setOptions(fd.get(), AF_UNIX);
    auto name = UnixName::bind(fd.get(), address, backlog, access);
    if (!name) return std::move(name).error().in("cannot listen on " + address.text());
    return tuned(std::move(fd), std::move(name).value());
  }
  Fd fd = unboundFor(address);
  if (!fd) return fail("socket");
  setOptions(fd.get(), address.family());
  Address wanted = address;
  const Fd chosen = address.port() == 0 ? choosePort(wanted) : Fd();
  const char* failed = bindAndListen(fd.get(), wanted, backlog);
  if (failed != nullptr && errno == EADDRINUSE) {
    // Perhaps it is one of ours that goes, which covers this address or is covered by it. The kernel lets both listen
    // where both are willing to share their port, which has to last no longer than this.
    std::vector<int> sharing{fd.get()};
    for (const auto& socket : going)
      if (socket->address().port() == address.port()) sharing.push_back(socket->fd());
    if (sharing.size() > 1) {
      for (const int one : sharing) setOption(one, SOL_SOCKET, SO_REUSEPORT, 1);
      failed = bindAndListen(fd.get(), wanted, backlog);
      for (const int one : sharing) setOption(one, SOL_SOCKET, SO_REUSEPORT, 0);
    }
  }
  if (failed != nullptr) return fail(failed);
  return tuned(std::move(fd), UnixName());
}

Result<std::shared_ptr<const ListeningSocket>> ListeningSocket::inherit(InheritedDescriptors& inherited,
                                                                        const Address& address) {
  Fd ours = address.isUnix() ? inherited.takeListener(address.get(), "unix") : Fd();
  UnixName name = ours ? UnixName::of(address) : UnixName();
  Fd socket = ours ? std::move(ours) : inherited.takeListener(address.get(), address.isUnix() ? "" : "proxy");
  if (!socket) return std::shared_ptr<const ListeningSocket>();
  setOptions(socket.get(), address.family());
  return made(std::move(socket), std::move(name), address);
}

Result<std::shared_ptr<const ListeningSocket>> ListeningSocket::made(Fd fd, UnixName name, const Address& address) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return Error{"cannot listen on " + address.text() + ": getsockname: " + std::strerror(errno)};
  return std::shared_ptr<const ListeningSocket>(new ListeningSocket(
      std::move(fd), std::move(name), address, Address(reinterpret_cast<const sockaddr*>(&bound), size)));
}

Status ListeningSocket::allow(const UnixAccess& access) const {
  auto allowed = name_.allow(access);
  return allowed ? success() : std::move(allowed).error().in("cannot change who may connect to " + address_.text());
}

void ListeningSocket::tune(std::uint32_t backlog, const Keepalive& keepalive) const noexcept {
  if (!address_.isUnix()) {
    setOption(fd_.get(), SOL_SOCKET, SO_REUSEADDR, 1);  // which refuse() takes away
    setOption(fd_.get(), SOL_SOCKET, SO_KEEPALIVE, 0);
    setOption(fd_.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
    keepalive.eachOption([this](int level, int name, int value) { setOption(fd_.get(), level, name, value); });
  }
  (void)::listen(fd_.get(), static_cast<int>(backlog));
}

// The socket is bound as before and no longer listens. With SO_REUSEADDR it would share its port with any other that
// has that, too.
void ListeningSocket::refuse() const noexcept {
  (void)::shutdown(fd_.get(), SHUT_RD);
  setOption(fd_.get(), SOL_SOCKET, SO_REUSEADDR, 0);
}

bool ListeningSocket::listens() const noexcept {
  int listens = 0;
  socklen_t size = sizeof(listens);
  return ::getsockopt(fd_.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

std::uint32_t ListeningSocket::waiting() const noexcept {
  tcp_info info{};
  socklen_t size = sizeof(info);
  const bool is_known = ::getsockopt(fd_.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
  return is_known && listens() ? info.tcpi_unacked : 0;
}

}  // namespace lemonade::proxy
