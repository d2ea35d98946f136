// SPDX-License-Identifier: MIT
#include "admin/clients.h"

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

Clients::Clients(asio::io_context& io, Fd listener, int family, const Limits& limits, Responder& responder)
    : io_(io),
      limits_(limits),
      responder_(responder),
      protocol_(family == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4()),
      acceptor_(io, protocol_, listener.get()),
      pause_(io),
      access_(std::make_shared<const Access>()) {
  (void)listener.release();
}

void Clients::listen() {
  if (waiting_ || !acceptor_.is_open()) return;
  acceptor_.async_wait(asio::ip::tcp::acceptor::wait_read, [this](const boost::system::error_code& error) {
    waiting_ = false;
    if (!error) accept();
  });
  waiting_ = true;  // unless there was no memory for it
}

void Clients::accept() {
  for (int i = 0; i < kAcceptsInARow; ++i) {
    // Not by Asio, whose sockets every child inherits.
    Fd fd(::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      take(std::move(fd));
    } else if (errno == EAGAIN) {
      break;
    } else if (exhausted(errno)) {
      if (!somebodyWaits(acceptor_.native_handle())) break;
      if (!makeRoom()) return pause();
    }
  }
  listen();
}

void Clients::take(Fd fd) {
  if (connections_.size() >= limits_.connections) makeRoom();
  asio::ip::tcp::socket socket(io_);
  boost::system::error_code error;
  socket.assign(protocol_, fd.get(), error);
  if (error) return;
  (void)fd.release();
  const auto connection = std::make_shared<Connection>(*this, std::move(socket));
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
void Clients::pause() {
  pause_.expires_after(kPause);
  pause_.async_wait([this](const boost::system::error_code&) {
    waiting_ = false;
    listen();
  });
  waiting_ = true;
}

void Clients::retire() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
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

std::optional<Response> Clients::refusal(const RequestHead& head) {
  std::shared_ptr<const Access> access;
  {
    const std::lock_guard lock(access_mutex_);
    access = access_;
  }
  const auto refusal = access->refusal(head);
  if (!refusal) return std::nullopt;
  const auto now = nowNs();
  if (refusal->status == 403 && (refusal_logged_ns_ == 0 || now - refusal_logged_ns_ > kLogEvery)) {
    refusal_logged_ns_ = now;
    log::warning("admin", "a request was refused", {{"reason", refusal->message}});
  }
  return errorResponse(refusal->status, refusal->message);
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
