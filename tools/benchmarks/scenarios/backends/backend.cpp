// SPDX-License-Identifier: MIT
//
// One backend: see backend.h.
#include "scenarios/backends/backend.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <sstream>

namespace lemonade::bench {
namespace {

constexpr std::uint64_t kResetAfter = 1'000'000;  // ns

[[noreturn]] void fail(const char* call) { throw std::system_error(errno, std::generic_category(), call); }

Fd boundSocket(std::uint16_t port) {
  Fd fd = ownedFd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fail("bind");
  return fd;
}

std::uint16_t portOf(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
  return ntohs(address.sin_port);
}

}  // namespace

Backend::Backend(EventLoop& loop, std::uint64_t number, std::uint64_t stride)
    : loop_(loop), number_(number), stride_(stride), next_id_(number + stride) {
  // A socket keeps its port while it does not listen only where the port was asked for by number.
  port_ = portOf(boundSocket(0).get());
  listener_ = boundSocket(port_);
  listen();
}

void Backend::listen() {
  if (listening_) return;
  if (::listen(listener_.get(), 4096) != 0) fail("listen");
  loop_.add(listener_.get(), number_, EPOLLIN);
  listening_ = true;
}

void Backend::behave(Action action, double factor) {
  switch (action) {
    case Action::kSlow:
      slowness_ = factor;
      return;
    case Action::kHang:
      hangs_ = true;
      forgetWork();
      return;
    case Action::kReset:
      resets_ = true;
      return;
    case Action::kDown:
      loop_.remove(listener_.get());
      // Refuses from now on, those that were never accepted included.
      ::shutdown(listener_.get(), SHUT_RD);
      listening_ = false;
      forgetWork();
      while (!connections_.empty()) reset(connections_.begin()->first);
      return;
    case Action::kUp:
      hangs_ = resets_ = false;
      listen();
      return;
  }
}

void Backend::forgetWork() {
  jobs_.clear();
  job_done_at_ = kNever;
}

void Backend::onEvent(std::uint64_t id) {
  if (id == number_) {
    accept();
  } else if (connections_.contains(id)) {
    read(id);
  }
}

void Backend::accept() {
  while (listening_) {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) return;
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const std::uint64_t id = next_id_;
    next_id_ += stride_;
    loop_.add(fd.get(), id, EPOLLIN);
    connections_[id] = {std::move(fd), "", resets_};
    if (resets_) resets_due_.push_back({id, nowNs() + kResetAfter});
  }
}

void Backend::read(std::uint64_t id) {
  char buffer[512];
  Connection& connection = connections_[id];
  const auto got = ::recv(connection.fd.get(), buffer, sizeof(buffer), 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    connections_.erase(id);
    return;
  }
  connection.input.append(buffer, static_cast<std::size_t>(got));
  for (std::size_t end; (end = connection.input.find('\n')) != std::string::npos;) {
    take(id, connection.input.substr(0, end));
    connection.input.erase(0, end + 1);
  }
}

void Backend::take(std::uint64_t id, const std::string& line) {
  if (hangs_ || connections_[id].doomed) return;
  std::istringstream stream(line);
  std::string kind;
  double work_ns = 0;
  stream >> kind >> work_ns;
  jobs_.push_back({id, work_ns, kind == "keep"});
  if (jobs_.size() == 1) beginJob(nowNs());
}

void Backend::beginJob(std::uint64_t now) {
  job_done_at_ = jobs_.empty() ? kNever : now + static_cast<std::uint64_t>(jobs_.front().work_ns * slowness_);
}

void Backend::finishJob() {
  const Job job = jobs_.front();
  jobs_.pop_front();
  // From when it was due, so that being woken late costs a request once and not all that queue behind it.
  beginJob(job_done_at_);
  const auto found = connections_.find(job.connection);
  if (found == connections_.end()) return;
  const std::string answer = std::to_string(number_) + "\n";
  ::send(found->second.fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  if (!job.keep) connections_.erase(found);
}

void Backend::reset(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const linger at_once{1, 0};
  ::setsockopt(found->second.fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  connections_.erase(found);
}

void Backend::onTime(std::uint64_t now) {
  while (job_done_at_ <= now) finishJob();
  while (!resets_due_.empty() && resets_due_.front().at <= now) {
    reset(resets_due_.front().connection);
    resets_due_.pop_front();
  }
}

std::uint64_t Backend::nextTime() const {
  return std::min(job_done_at_, resets_due_.empty() ? kNever : resets_due_.front().at);
}

}  // namespace lemonade::bench
