// SPDX-License-Identifier: MIT
#include "admin/listening_socket.h"

#include "base/listen_mend.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace lemonade::admin {

namespace {

constexpr int kBacklog = 512;

/// What was handed over for this address, and its file where that is ours.
std::pair<Fd, UnixName> inheritedFor(const Address& address, InheritedDescriptors& inherited) {
  if (!address.isUnix()) return {inherited.takeListener(address.get(), "admin"), UnixName()};
  if (Fd ours = inherited.takeListener(address.get(), "unix")) return {std::move(ours), UnixName::of(address)};
  return {inherited.takeListener(address.get(), ""), UnixName()};
}

}  // namespace

Result<ListeningSocket::Shared> ListeningSocket::open(const Address& address, const UnixAccess& access,
                                                      InheritedDescriptors& inherited) {
  const auto where = [&] { return "cannot listen on " + address.text(); };
  const auto fail = [&](const char* call) {
    const int error = errno;
    return Error{where() + ": " + call + ": " + std::strerror(error) + listenMend(error)};
  };
  if (auto [fd, name] = inheritedFor(address, inherited); fd) return made(std::move(fd), std::move(name), address);
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail("socket");
  if (address.isUnix()) {
    auto name = UnixName::bind(fd.get(), address, kBacklog, access);
    if (!name) return std::move(name).error().in(where());
    return made(std::move(fd), std::move(name).value(), address);
  }
  const int on = 1;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd.get(), address.get(), address.size()) != 0) return fail("bind");
  if (::listen(fd.get(), kBacklog) != 0) return fail("listen");
  return made(std::move(fd), UnixName(), address);
}

Result<ListeningSocket::Shared> ListeningSocket::made(Fd fd, UnixName name, const Address& address) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return Error{"cannot listen on " + address.text() + ": getsockname: " + std::strerror(errno)};
  auto text = address.isUnix() ? address.text() : Address(reinterpret_cast<const sockaddr*>(&bound), size).text();
  return Shared(new ListeningSocket(std::move(fd), std::move(name), address, std::move(text)));
}

Status ListeningSocket::allow(const UnixAccess& access) const {
  auto allowed = name_.allow(access);
  return allowed ? success() : std::move(allowed).error().in("cannot change who may connect to " + text_);
}

}  // namespace lemonade::admin
