// SPDX-License-Identifier: MIT
//
// poll(2) instead of POCO's poll, which opens a descriptor for each wait and so fails when descriptors run out.
#include "admin/sockets.h"

#include <Poco/Net/NetException.h>
#include <Poco/Net/ServerSocketImpl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace lemonade::admin {

namespace {

/// Waits for events of fd, or for stop to turn readable; a negative timeout waits for ever. True where fd is ready.
bool awaitEither(int fd, short events, int stop, int timeout_ms) {
  std::array<pollfd, 2> fds{{{fd, events, 0}, {stop, POLLIN, 0}}};
  return ::poll(fds.data(), fds.size(), timeout_ms) > 0 && fds[1].revents == 0 && fds[0].revents != 0;
}

/// Counts one use of a connection, at its end.
class Use {
 public:
  explicit Use(std::atomic<std::uint32_t>& uses) noexcept : uses_(uses) {}
  ~Use() { uses_.fetch_add(1, std::memory_order_release); }

 private:
  std::atomic<std::uint32_t>& uses_;
};

class ListenerImpl : public Poco::Net::ServerSocketImpl {
 public:
  ListenerImpl(std::shared_ptr<SocketGuard> guard, Duration request_time)
      : guard_(std::move(guard)), request_time_(request_time) {}

  /// POCO asks four times a second; an idle listener sleeps until there is a client or an end.
  bool poll(const Poco::Timespan&, int) override { return awaitEither(sockfd(), POLLIN, guard_->readingStopped(), -1); }

  Poco::Net::SocketImpl* acceptConnection(Poco::Net::SocketAddress& client) override {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    const int fd = ::accept4(sockfd(), any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      const int code = errno;
      // The client stays in the queue, so the listener stays readable: without a pause this would spin.
      if (code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM)
        awaitEither(-1, 0, guard_->readingStopped(), 100);
      throw Poco::Net::NetException("accept", std::strerror(code), code);
    }
    client = Poco::Net::SocketAddress(any, size);
    return new Connection(fd, guard_, request_time_);
  }

 private:
  const std::shared_ptr<SocketGuard> guard_;
  const Duration request_time_;
};

}  // namespace

SocketGuard::SocketGuard() : reading_stopped_(::eventfd(0, EFD_CLOEXEC)), writing_stopped_(::eventfd(0, EFD_CLOEXEC)) {}

void SocketGuard::stopReading() noexcept { ::eventfd_write(reading_stopped_.get(), 1); }

void SocketGuard::stopWriting() noexcept { ::eventfd_write(writing_stopped_.get(), 1); }

bool SocketGuard::awaitNone(std::uint64_t deadline_ns) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, std::chrono::steady_clock::time_point(Duration(deadline_ns)),
                             [&] { return open_ == 0; });
}

void SocketGuard::opened() {
  const std::lock_guard lock(mutex_);
  ++open_;
}

void SocketGuard::closed() {
  const std::lock_guard lock(mutex_);
  --open_;
  changed_.notify_all();
}

Connection::Connection(int fd, std::shared_ptr<SocketGuard> guard, Duration time)
    : StreamSocketImpl(fd), guard_(std::move(guard)) {
  setTime(time);
  guard_->opened();
}

Connection::~Connection() {
  (void)uses_.load(std::memory_order_acquire);
  guard_->closed();
}

void Connection::setTime(Duration time) noexcept {
  const Use use(uses_);
  deadline_ns_ = nowNs() + static_cast<std::uint64_t>(time.count());
}

int Connection::receiveBytes(void* buffer, int length, int flags) {
  const Use use(uses_);
  for (;;) {
    const auto received = ::recv(sockfd(), buffer, static_cast<std::size_t>(length), flags | MSG_DONTWAIT);
    if (received >= 0) return static_cast<int>(received);
    if (errno != EAGAIN && errno != EINTR) throw Poco::Net::NetException("recv", std::strerror(errno), errno);
    await(POLLIN);
  }
}

int Connection::sendBytes(const void* buffer, int length, int flags) {
  const Use use(uses_);
  const auto* const bytes = static_cast<const char*>(buffer);
  int sent = 0;
  while (sent < length) {
    const auto n =
        ::send(sockfd(), bytes + sent, static_cast<std::size_t>(length - sent), flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
      sent += static_cast<int>(n);
    else if (errno == EAGAIN || errno == EINTR)
      await(POLLOUT);
    else
      throw Poco::Net::NetException("send", std::strerror(errno), errno);
  }
  return sent;
}

bool Connection::poll(const Poco::Timespan& timeout, int mode) {
  const Use use(uses_);
  const short events =
      static_cast<short>(((mode & SELECT_READ) != 0 ? POLLIN : 0) | ((mode & SELECT_WRITE) != 0 ? POLLOUT : 0));
  const auto now = nowNs();
  const auto left_ms = deadline_ns_ > now ? static_cast<std::int64_t>((deadline_ns_ - now) / 1'000'000) + 1 : 0;
  return awaitEither(sockfd(), events, stopped(events),
                     static_cast<int>(std::min<std::int64_t>(timeout.totalMilliseconds(), left_ms)));
}

int Connection::stopped(short events) const noexcept {
  return (events & POLLIN) != 0 ? guard_->readingStopped() : guard_->writingStopped();
}

void Connection::await(short events) {
  const auto now = nowNs();
  if (now >= deadline_ns_) throw Poco::TimeoutException("the client takes too long");
  if (!awaitEither(sockfd(), events, stopped(events), static_cast<int>((deadline_ns_ - now) / 1'000'000) + 1))
    throw Poco::TimeoutException("the client takes too long, or the server stops");
}

Listener::Listener(std::shared_ptr<SocketGuard> guard, Duration request_time)
    : ServerSocket(new ListenerImpl(std::move(guard), request_time), true) {}

}  // namespace lemonade::admin
