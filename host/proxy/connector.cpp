// SPDX-License-Identifier: MIT
#include "proxy/connector.h"

#include "balance/proxy_header.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "proxy/listener.h"
#include "proxy/socket_state.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kLongestPause = 1'000'000'000;
constexpr std::uint64_t kPace = 1'000'000;        // between two that come again after a pause, over all workers
constexpr std::uint64_t kSpread = 4;              // pauses: a herd that takes longer at that pace comes closer together
constexpr std::uint64_t kPortPause = 50'000'000;  // before a backend is tried again that no source port was free for
constexpr std::uint64_t kQuiet = 10'000'000'000;  // between two lines about the same trouble

bool isShortage(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/// True where this host has an address to connect from; connecting a datagram socket sends nothing.
bool hasSourceAddress(const Address& peer) noexcept {
  const Fd probe(::socket(peer.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return !probe || ::connect(probe.get(), peer.get(), peer.size()) == 0 || errno != EADDRNOTAVAIL;
}

/// True where a connect failed for want of something that this machine will have again. For IPv6 the error for want of
/// a source port is also that for want of an address.
bool isPassing(int error, const Address& peer) noexcept {
  return isShortage(error) || (error == EADDRNOTAVAIL && (peer.family() == AF_INET || hasSourceAddress(peer)));
}

/// True where a failure to connect is this machine's own and tells nothing about the backend.
bool isLocal(int error) noexcept {
  return error == EADDRNOTAVAIL || error == EACCES || error == EPERM || error == ENOSPC || isShortage(error);
}

std::uint32_t retriesOf(const Pool& pool) noexcept {
  return std::min<std::uint32_t>(pool.settings().retries.load(std::memory_order_relaxed), Tried::kMost - 1);
}

bool isQueueing(const Session& session, std::uint64_t now) noexcept {
  const std::uint64_t timeout = session.pool->settings().queue_timeout_ns.load(std::memory_order_relaxed);
  return session.queued_at != 0 && now - session.queued_at < timeout;
}

std::uint64_t pauseOf(const Pool& pool) noexcept {
  return std::min(kLongestPause, pool.settings().connect_timeout_ns.load(std::memory_order_relaxed));
}

/// Where the client of a session connected to: what its PROXY header named, else the local address of its socket.
class Destination final : public LocalAddressSource {
 public:
  explicit Destination(const Session& session) noexcept : session_(session) {}

  Address localAddress() const noexcept override {
    if (session_.destination != nullptr) return *session_.destination;
    sockaddr_storage local{};
    socklen_t size = sizeof(local);
    auto* const any = reinterpret_cast<sockaddr*>(&local);
    return ::getsockname(session_.client.fd, any, &size) == 0 ? Address(any, size) : Address();
  }

 private:
  const Session& session_;
};

}  // namespace

Connector::Connector(std::uint32_t worker, const std::atomic<std::uint32_t>& serving, Meter& meter, Dialer& dialer)
    : picker_(worker), serving_(serving), meter_(meter), dialer_(dialer) {}

bool Connector::mayTryAgain(const Session& session, std::uint64_t now) noexcept {
  return session.attempt <= retriesOf(*session.pool) || isQueueing(session, now);
}

// Those that failed together, since a backend could not take so many, do not come again together.
std::uint64_t Connector::nextTurn(PoolSessions& at_pool, std::uint64_t now) const noexcept {
  const std::uint64_t shortest = pauseOf(at_pool.pool);
  const std::uint64_t paced = at_pool.last_turn + kPace * serving_.load(std::memory_order_relaxed);
  at_pool.last_turn = paced < now + shortest || paced > now + kSpread * shortest ? now + shortest : paced;
  return at_pool.last_turn;
}

Connector::Outcome Connector::begin(Session& session, std::uint64_t now) noexcept {
  if (now >= session.again_at) session.tried.clear();
  for (;;) {
    const Pick picked = pick(session, now);
    if (picked == Pick::kFull) return Outcome::kQueue;
    if (picked == Pick::kRejected) return Outcome::kGiveUp;
    if (picked == Pick::kNone) return goWithout(session, now);
    const Outcome outcome = connect(session, now);
    if (outcome != Outcome::kGiveUp) return outcome;
    if (!failAttempt(session, errno, now)) return Outcome::kGiveUp;
  }
}

Connector::Outcome Connector::retry(Session& session, int error, std::uint64_t now) noexcept {
  if (!failAttempt(session, error, now)) return Outcome::kGiveUp;
  return begin(session, now);
}

Connector::Pick Connector::pick(Session& session, std::uint64_t now) noexcept {
  const Destination destination(session);
  const auto [picked, shadow] = picker_.pick(*session.at_pool,
                                             {session.client_address, session.local_port, session.listener->name(),
                                              destination, session.attempt, session.tried},
                                             now);
  session.shadow = shadow;
  if (picked.what == Picked::What::kBackend) {
    session.target = picked.backend;
    session.cookie = picked.cookie;
    session.generation = picked.generation;
    session.trial = picked.trial != nullptr ? Trial::Part(*picked.trial, picked.arm) : Trial::Part();
    return Pick::kBackend;
  }
  if (mayQueue(*session.pool, picked)) return Pick::kFull;
  if (picked.what == Picked::What::kNone) return Pick::kNone;
  session.reason = CloseReason::kRejected;
  return Pick::kRejected;
}

// No backend may be picked but those that failed the session, if any.
Connector::Outcome Connector::goWithout(Session& session, std::uint64_t now) noexcept {
  if (std::exchange(session.lacks_port, false)) {
    session.at_pool->at.counters.port_waits.add();
    return Outcome::kNoDescriptor;
  }
  const bool queueing = isQueueing(session, now);
  if (queueing && session.tried.get().empty()) return Outcome::kQueue;
  const bool retrying =
      session.attempt != 0 && session.attempt <= retriesOf(*session.pool) && session.pauses < retriesOf(*session.pool);
  if (!queueing && !retrying) {
    session.reason = session.attempt != 0 ? CloseReason::kConnectFailed : CloseReason::kNoBackend;
    return Outcome::kGiveUp;
  }
  ++session.pauses;
  session.again_at = nextTurn(*session.at_pool, now);
  return Outcome::kPause;
}

// Its port is chosen when the socket connects: one port serves connections to many backends.
bool Connector::bindSource(const Session& session, std::uint64_t now) noexcept {
  const Address source = session.pool->settings().source();
  if (source.family() != session.target->address().family()) return true;
  const int fd = session.backend.fd;
  setOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  if (::bind(fd, source.get(), source.size()) == 0) return true;
  const int error = errno;
  auto& complained_at = session.at_pool->complained_at;
  if (now - complained_at > kQuiet || complained_at == 0) {
    complained_at = now;
    log::warning("proxy", "cannot connect from the source address of the pool",
                 {{"pool", session.pool->name()}, {"source", source.text()}, {"error", std::strerror(error)}});
  }
  errno = EPERM;  // nothing that a backend could help, nor a matter of ports
  return false;
}

bool Connector::introduce(const Session& session) noexcept {
  const std::uint8_t version = session.pool->settings().send_proxy.load(std::memory_order_relaxed);
  if (version == 0) return true;
  const auto header = writeProxyHeader(static_cast<ProxyVersion>(version),
                                       {session.client_address, Destination(session).localAddress()});
  const auto bytes = header.view();
  const ssize_t sent = ::send(session.backend.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent == static_cast<ssize_t>(bytes.size())) return true;
  if (sent >= 0) errno = ENOBUFS;  // a new socket has room for more than that
  return false;
}

// kGiveUp means that this attempt failed at once, with errno.
Connector::Outcome Connector::connect(Session& session, std::uint64_t now) noexcept {
  const Address& address = session.target->address();
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 && isShortage(errno)) {
    meter_.abandoned(session, now);
    session.pool->release(*session.target);
    session.target = nullptr;
    session.at_pool->at.counters.descriptor_waits.add();
    return Outcome::kNoDescriptor;
  }
  ++session.attempt;
  session.attempted_at = now;
  session.backend.fd = fd;
  if (fd < 0) return Outcome::kGiveUp;
  if (!bindSource(session, now)) return Outcome::kGiveUp;
  dialer_.setOption(fd, SOL_SOCKET, SO_OOBINLINE, 1);
  if (!address.isUnix()) {
    dialer_.setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    const Keepalive keepalive = session.listener->settings().keepalive();
    keepalive.eachOption([&](int level, int name, int value) { dialer_.setOption(fd, level, name, value); });
  }
  switch (dialer_.connect(session, address)) {
    case Dialer::Connect::kConnecting:
      return Outcome::kConnecting;
    case Dialer::Connect::kConnected:
      return Outcome::kConnected;
    case Dialer::Connect::kFailed:
      return Outcome::kGiveUp;
  }
  return Outcome::kGiveUp;
}

// Ends the attempt under way; false where there shall be no other, with the reason set.
bool Connector::failAttempt(Session& session, int error, std::uint64_t now) noexcept {
  std::uint64_t& complained_at = session.at_pool->complained_at;
  if (isLocal(error) && (now - complained_at > kQuiet || complained_at == 0)) {
    complained_at = now;
    log::warning("proxy",
                 error == EADDRNOTAVAIL ? "no source port is free to connect from; widen "
                                          "net.ipv4.ip_local_port_range or add backends"
                                        : "this machine does not let us connect",
                 {{"pool", session.pool->name()}, {"backend", session.target->id()}, {"error", std::strerror(error)}});
  }
  session.tried.add(*session.target);
  if (isPassing(error, session.target->address())) {
    putOff(session, now);
    return true;
  }
  meter_.connectFailed(session, error, !isLocal(error), now);
  dialer_.dropBackend(session);
  if (!mayTryAgain(session, now)) {
    session.reason = CloseReason::kConnectFailed;
    return false;  // target stays: the access log names the last one tried
  }
  session.again_at = now + pauseOf(*session.pool);
  session.pool->release(*session.target);
  session.target = nullptr;
  session.at_pool->at.counters.retries.add();
  return true;
}

// As if the attempt under way had not begun: another backend may be reached from the ports that are left.
void Connector::putOff(Session& session, std::uint64_t now) noexcept {
  meter_.abandoned(session, now);
  dialer_.dropBackend(session);
  session.pool->release(*session.target);
  session.target = nullptr;
  --session.attempt;
  session.again_at = std::max(session.again_at, now + kPortPause);
  session.lacks_port = true;
}

}  // namespace lemonade::proxy
