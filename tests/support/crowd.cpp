// SPDX-License-Identifier: MIT
//
// Many clients on one thread: see crowd.h.
#include "support/crowd.h"

#include "support/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>

namespace lemonade::test {
namespace {

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
constexpr std::string_view kHead = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n";
constexpr std::size_t kMostFailuresTold = 10;
constexpr std::int64_t kLate = 10'000;  // ms, stretched by timeFactor()
constexpr std::uint64_t kListener = ~std::uint64_t{0}, kStop = kListener - 1;

std::int64_t nowMs() {
  return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Fd makeEpoll() { return ownedFd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"); }

void watch(const Fd& epoll, int fd, std::uint64_t which, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = which;
  (void)::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event);
}

std::string words(int error) { return std::strerror(error); }

/// Begins to connect to an IPv4 address; the error, or 0.
int beginConnect(Fd& fd, const std::string& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(portOf(address));
  (void)::inet_pton(AF_INET, address.substr(0, address.find(':')).c_str(), &to.sin_addr);
  fd = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  const int on = 1;
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const bool begun = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0 || errno == EINPROGRESS;
  return begun ? 0 : errno;
}

}  // namespace

// ---- backends ------------------------------------------------------------------------------------------------------

Responder::Responder(char name)
    : answer_(std::string(kHead) + name),
      listener_(listenOn("127.0.0.1:0")),
      epoll_(makeEpoll()),
      stop_(ownedFd(::eventfd(0, EFD_CLOEXEC), "eventfd")),
      address_(localAddressOf(listener_.get())) {
  watch(epoll_, listener_.get(), kListener, EPOLLIN);
  watch(epoll_, stop_.get(), kStop, EPOLLIN);
  thread_ = std::thread([this] { run(); });
}

Responder::~Responder() {
  (void)::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void Responder::run() {
  struct Session {
    Fd fd;
    std::string pending;
  };
  std::map<std::uint64_t, Session> sessions;
  const auto accept = [&] {
    for (;;) {
      Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd) return;
      const auto which = static_cast<std::uint64_t>(fd.get());
      watch(epoll_, fd.get(), which, EPOLLIN);
      sessions[which] = {std::move(fd), {}};
    }
  };
  const auto answer = [&](Session& session) {
    char bytes[4'096];
    const auto size = ::recv(session.fd.get(), bytes, sizeof(bytes), 0);
    if (size <= 0) return size < 0 && errno == EAGAIN;
    session.pending.append(bytes, static_cast<std::size_t>(size));
    for (std::size_t end; (end = session.pending.find("\r\n\r\n")) != std::string::npos;) {
      session.pending.erase(0, end + 4);
      (void)::send(session.fd.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
    return true;
  };
  for (epoll_event events[64];;) {
    const int count = ::epoll_wait(epoll_.get(), events, 64, -1);
    for (int i = 0; i < count; ++i) {
      const auto which = events[i].data.u64;
      if (which == kStop) return;
      if (which == kListener) {
        accept();
        continue;
      }
      if (!answer(sessions[which])) sessions.erase(which);
    }
  }
}

// ---- clients -------------------------------------------------------------------------------------------------------

Crowd::Crowd(const std::string& address, Plan plan) : address_(address), plan_(plan), epoll_(makeEpoll()) {
  clients_.resize(static_cast<std::size_t>(plan.kept + plan.fresh));
  const auto now = nowMs();
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    clients_[i].kept =
        i % 2 == 0 ? i / 2 < static_cast<std::size_t>(plan.kept) : i / 2 >= static_cast<std::size_t>(plan.fresh);
    clients_[i].due_ms =
        now + static_cast<std::int64_t>(i) * plan.pause.count() / static_cast<std::int64_t>(clients_.size());
    pausing_.push_back(i);
  }
  thread_ = std::thread([this] { run(); });
}

Crowd::~Crowd() {
  stopping_ = true;
  thread_.join();
}

std::vector<std::string> Crowd::failures() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failures_, {});
}

std::uint64_t Crowd::forgiveFailed() {
  const std::lock_guard lock(mutex_);
  failures_.clear();
  return failed_.exchange(0);
}

bool Crowd::allServed(Millis within) {
  const auto wanted = ++wanted_round_;
  return eventually([&] { return completed_round_ == wanted; }, within);
}

bool Crowd::rest(Millis within) {
  resting_ = true;
  const auto wanted = ++wanted_round_;
  return eventually([&] { return rested_round_ == wanted; }, within);
}

void Crowd::run() {
  while (!stopping_) {
    if (const auto wanted = wanted_round_.load(); wanted != round_) {
      round_ = wanted;
      served_in_round_ = 0;
    }
    const bool rests = resting_;
    if (!rests) beginThoseDue(nowMs());
    epoll_event events[256];
    const int count = ::epoll_wait(epoll_.get(), events, 256, 1);
    for (int i = 0; i < count; ++i) onReady(events[i].data.u64, events[i].events);
    findLate(nowMs());
    if (rests && under_way_ == 0) rested_round_ = round_;
  }
}

void Crowd::beginThoseDue(std::int64_t now_ms) {
  while (!pausing_.empty() && clients_[pausing_.front()].due_ms <= now_ms) {
    const auto index = pausing_.front();
    pausing_.pop_front();
    begin(index, now_ms);
  }
}

void Crowd::begin(std::size_t index, std::int64_t now_ms) {
  auto& client = clients_[index];
  client.waits = true;
  client.sent = false;
  client.began_ms = now_ms;
  client.answer.clear();
  ++under_way_;
  if (client.fd) return onReady(index, EPOLLOUT);
  if (const int error = beginConnect(client.fd, address_); error != 0)
    return finish(index, "it could not connect: " + words(error));
  watch(epoll_, client.fd.get(), index, EPOLLIN | EPOLLOUT | EPOLLET);
}

void Crowd::onReady(std::size_t index, std::uint32_t events) {
  auto& client = clients_[index];
  if (!client.fd) return;
  if (client.waits && !client.sent && (events & EPOLLOUT) != 0) {
    if (::send(client.fd.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0)
      return finish(index, "it could not send: " + words(errno));
    client.sent = true;
  }
  char bytes[1'024];
  const auto size = ::recv(client.fd.get(), bytes, sizeof(bytes), 0);
  if (size < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
  if (size < 0) return finish(index, "it could not receive: " + words(errno));
  if (size == 0) return finish(index, client.waits ? "it was closed without an answer" : "it was closed in a pause");
  client.answer.append(bytes, static_cast<std::size_t>(size));
  if (!client.waits || client.answer.size() > kHead.size() + 1 ||
      !kHead.starts_with(client.answer.substr(0, kHead.size())))
    return finish(index, "the answer was \"" + client.answer + "\"");
  if (client.answer.size() == kHead.size() + 1) finish(index, "");
}

void Crowd::finish(std::size_t index, const std::string& failure) {
  auto& client = clients_[index];
  const auto now = nowMs();
  if (failure.empty()) {
    ++served_;
    const auto took = now - client.began_ms;
    for (auto most = longest_ms_.load(); most < took && !longest_ms_.compare_exchange_weak(most, took);) {
    }
    if (std::exchange(client.round, round_) != round_ && ++served_in_round_ == clients_.size())
      completed_round_ = round_;
  } else {
    const std::lock_guard lock(mutex_);
    ++failed_;
    if (failures_.size() < kMostFailuresTold) failures_.push_back(failure);
  }
  if (!client.kept || !failure.empty()) client.fd.reset();
  if (!std::exchange(client.waits, false)) return;  // it comes again when its pause is over
  --under_way_;
  client.due_ms = now + plan_.pause.count();
  pausing_.push_back(index);
}

void Crowd::findLate(std::int64_t now_ms) {
  if (now_ms - looked_ms_ < kLate / 100) return;
  looked_ms_ = now_ms;
  const auto late = static_cast<std::int64_t>(static_cast<double>(kLate) * timeFactor());
  for (std::size_t i = 0; i < clients_.size(); ++i)
    if (clients_[i].waits && now_ms - clients_[i].began_ms > late) finish(i, "there was no answer in time");
}

}  // namespace lemonade::test
