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
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail("socket");
  if (address.isUnix()) {
    setOptions(fd.get(), AF_UNIX);
    auto name = UnixName::bind(fd.get(), address, backlog, access);
    if (!name) return std::move(name).error().in("cannot listen on " + address.text());
    return made(std::move(fd), std::move(name).value(), address, backlog, keepalive);
  }
  setOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  // [::] serves IPv6 alone, so that 0.0.0.0 and [::] can be listed side by side.
  if (address.family() == AF_INET6) setOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  setOptions(fd.get(), address.family());
  const char* failed = bindAndListen(fd.get(), address, backlog);
  if (failed != nullptr && errno == EADDRINUSE) {
    // Perhaps it is one of ours that goes, which covers this address or is covered by it. The kernel lets both listen
    // where both are willing to share their port, which has to last no longer than this.
    std::vector<int> sharing{fd.get()};
    for (const auto& socket : going)
      if (socket->address().port() == address.port()) sharing.push_back(socket->fd());
    if (sharing.size() > 1) {
      for (const int one : sharing) setOption(one, SOL_SOCKET, SO_REUSEPORT, 1);
      failed = bindAndListen(fd.get(), address, backlog);
      for (const int one : sharing) setOption(one, SOL_SOCKET, SO_REUSEPORT, 0);
    }
  }
  if (failed != nullptr) return fail(failed);
  return made(std::move(fd), UnixName(), address, backlog, keepalive);
}

Result<std::shared_ptr<const ListeningSocket>> ListeningSocket::inherit(InheritedDescriptors& inherited,
                                                                        const Address& address, std::uint32_t backlog,
                                                                        const Keepalive& keepalive) {
  Fd ours = address.isUnix() ? inherited.takeListener(address.get(), "unix") : Fd();
  UnixName name = ours ? UnixName::of(address) : UnixName();
  Fd socket = ours ? std::move(ours) : inherited.takeListener(address.get(), address.isUnix() ? "" : "proxy");
  if (!socket) return std::shared_ptr<const ListeningSocket>();
  setOptions(socket.get(), address.family());
  return made(std::move(socket), std::move(name), address, backlog, keepalive);
}

Result<std::shared_ptr<const ListeningSocket>> ListeningSocket::made(Fd fd, UnixName name, const Address& address,
                                                                     std::uint32_t backlog,
                                                                     const Keepalive& keepalive) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return Error{"cannot listen on " + address.text() + ": getsockname: " + std::strerror(errno)};
  std::shared_ptr<const ListeningSocket> socket(new ListeningSocket(
      std::move(fd), std::move(name), address, Address(reinterpret_cast<const sockaddr*>(&bound), size)));
  socket->tune(backlog, keepalive);
  return socket;
}

Status ListeningSocket::allow(const UnixAccess& access) const {
  auto allowed = name_.allow(access);
  return allowed ? success() : std::move(allowed).error().in("cannot change who may connect to " + address_.text());
}

void ListeningSocket::tune(std::uint32_t backlog, const Keepalive& keepalive) const noexcept {
  if (!address_.isUnix()) {
    setOption(fd_.get(), SOL_SOCKET, SO_KEEPALIVE, 0);
    setOption(fd_.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
    keepalive.eachOption([this](int level, int name, int value) { setOption(fd_.get(), level, name, value); });
  }
  (void)::listen(fd_.get(), static_cast<int>(backlog));
}

// The socket is bound as before, which keeps others from the port, and no longer listens.
void ListeningSocket::refuse() const noexcept { (void)::shutdown(fd_.get(), SHUT_RD); }

}  // namespace lemonade::proxy
