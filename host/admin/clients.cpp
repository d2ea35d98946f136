// SPDX-License-Identifier: MIT
#include "admin/clients.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/log.h"

namespace lemonade::admin {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

constexpr int kAcceptsInARow = 64;
constexpr Duration kPause = 100ms;                   // where there is nothing to accept a client with
constexpr std::uint64_t kLogEvery = 60'000'000'000;  // refusals; in nanoseconds
constexpr std::size_t kSmall = 64 << 10;             // answers that nobody has to make room for

bool exhausted(int code) { return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM; }

// The kernel looks for a descriptor before it looks for a client: without one it never says that nobody waits.
bool somebodyWaits(int listener) {
  pollfd one{listener, POLLIN, 0};
  return ::poll(&one, 1, 0) != 0;
}

}  // namespace

Clients::Clients(asio::io_context& io, const Limits& limits, Responder& responder)
    : io_(io), limits_(limits), responder_(responder), access_(std::make_shared<const Access>()) {}

Clients::~Clients() = default;

void Clients::use(const std::vector<ListeningSocket::Shared>& sockets) {
  std::list<SharedDoor> doors;
  for (const auto& socket : sockets) {
    const auto known = std::ranges::find_if(doors_, [&](const SharedDoor& door) { return door->socket == socket; });
    doors.push_back(known != doors_.end() ? *known : std::make_shared<Door>(io_, socket));
  }
  doors_.swap(doors);
  for (const auto& door : doors) {
    if (isOpen(door)) continue;
    // What waits there is told, and lets go of the door.
    (void)door->descriptor.release();
    door->pause.cancel();
  }
  listen();
}

bool Clients::isOpen(const SharedDoor& door) const { return std::ranges::find(doors_, door) != doors_.end(); }

void Clients::listen() {
  for (const auto& door : doors_) listen(door);
}

void Clients::listen(const SharedDoor& door) {
  if (door->waiting) return;
  door->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                              [this, door](const boost::system::error_code& error) {
                                door->waiting = false;
                                if (!error && isOpen(door)) accept(door);
                              });
  door->waiting = true;  // unless there was no memory for it
}

void Clients::accept(const SharedDoor& door) {
  const auto& socket = *door->socket;
  for (int i = 0; i < kAcceptsInARow; ++i) {
    // Not by Asio, whose sockets every child inherits.
    Fd fd(::accept4(socket.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      take(std::move(fd), socket.requested().family());
    } else if (errno == EAGAIN) {
      break;
    } else if (exhausted(errno)) {
      if (!somebodyWaits(socket.fd())) break;
      if (!makeRoom()) return pause(door);
    }
  }
  listen(door);
}

void Clients::take(Fd fd, int family) {
  if (connections_.size() >= limits_.connections) makeRoom();
  const int on = 1;
  if (family != AF_UNIX) (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  Peer peer = peerOf(fd.get());
  asio::generic::stream_protocol::socket socket(io_);
  boost::system::error_code error;
  socket.assign(asio::generic::stream_protocol(family, 0), fd.get(), error);
  if (error) return;
  (void)fd.release();
  const auto connection = std::make_shared<Connection>(*this, std::move(socket), std::move(peer));
  connections_.emplace(connection.get(), connection);
  connection->start();
}

/// Ends the connection that makes room first. False where there is none.
bool Clients::makeRoom() {
  const auto first = std::ranges::min_element(
      connections_, {}, [](const auto& entry) { return std::pair(entry.second->phase(), entry.second->sinceNs()); });
  if (first == connections_.end()) return false;
  const auto connection = first->second;
  connection->end();
  return true;
}

/// The client stays in the queue, so the listener stays readable: without a pause this would spin.
void Clients::pause(const SharedDoor& door) {
  door->pause.expires_after(kPause);
  door->pause.async_wait([this, door](const boost::system::error_code&) {
    door->waiting = false;
    if (isOpen(door)) listen(door);
  });
  door->waiting = true;
}

void Clients::finish() {
  retire();
  const auto connections = connections_;
  for (const auto& [raw, connection] : connections) connection->finish();
  if (connections_.empty()) on_empty();
}

void Clients::end() {
  const auto connections = connections_;
  for (const auto& [raw, connection] : connections) connection->end();
}

void Clients::remove(Connection& connection) {
  connections_.erase(&connection);
  if (connections_.empty()) on_empty();
}

void Clients::allow(Access access) {
  auto next = std::make_shared<const Access>(std::move(access));
  const std::lock_guard lock(access_mutex_);
  access_ = std::move(next);
}

std::variant<std::string, Response> Clients::judge(const RequestHead& head, const Peer& peer) {
  std::shared_ptr<const Access> access;
  {
    const std::lock_guard lock(access_mutex_);
    access = access_;
  }
  auto judged = access->judge(head, peer);
  if (auto* by = std::get_if<std::string>(&judged)) return std::move(*by);
  const auto& refusal = std::get<Refusal>(judged);
  logRefusal(refusal, peer);
  auto response = errorResponse(refusal.status, refusal.message);
  if (refusal.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"lemonade\"");
  return response;
}

// Once a minute each, so that none of them hides the other, and nobody fills the log.
void Clients::logRefusal(const Refusal& refusal, const Peer& peer) {
  if (refusal.status == 400) return;
  auto& logged_ns = refusal.status == 401 ? wrong_token_logged_ns_ : refusal_logged_ns_;
  const auto now = nowNs();
  if (logged_ns != 0 && now - logged_ns <= kLogEvery) return;
  logged_ns = now;
  log::warning("admin", "a request was refused", {{"reason", refusal.message}, {"by", peer.text}});
}

void Clients::boundUnsent(const Connection& latest) {
  if (latest.unsent()->body.size() < kSmall) return;
  for (;;) {
    std::set<const Response*> answers;  // which several may share
    std::size_t bytes = 0;
    std::shared_ptr<Connection> slowest;
    for (const auto& [raw, connection] : connections_) {
      if (!connection->unsent()) continue;
      if (answers.insert(connection->unsent().get()).second) bytes += connection->unsent()->body.size();
      if (raw != &latest && (!slowest || connection->sinceNs() < slowest->sinceNs())) slowest = connection;
    }
    if (bytes <= limits_.unsent || !slowest) return;
    slowest->end();
  }
}

}  // namespace lemonade::admin
