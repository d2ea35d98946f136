// SPDX-License-Identifier: MIT
#include "proxy/acceptor.h"

#include "base/clock.h"
#include "base/log.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr int kBatch = 32;
constexpr std::uint64_t kPause = 100'000'000;
constexpr std::uint64_t kComplainEvery = 10'000'000'000;

}  // namespace

void Acceptor::listen(std::shared_ptr<const Listener> listener) {
  mailbox_.inbox.open();
  for (const auto& source : sources_)
    if (source->listener == listener) return;
  auto source = std::make_unique<Source>(*this, std::move(listener));
  sources_.reserve(sources_.size() + 1);
  if (watching_) watch(*source, true);
  sources_.push_back(std::move(source));
}

void Acceptor::unlisten(const Listener& listener) {
  for (auto it = sources_.begin(); it != sources_.end();) {
    if ((*it)->listener.get() != &listener) {
      ++it;
      continue;
    }
    if (watching_) watch(**it, false);
    while (admission_.enter() && acceptOne(**it, For::kOurselves)) {
    }
    it = sources_.erase(it);
  }
}

void Acceptor::watch(Source& source, bool on) {
  on ? sessions_.addGuest(source.listener->fd(), &source) : sessions_.removeGuest(source.listener->fd());
}

void Acceptor::watch(bool on) {
  if (on == watching_) return;
  watching_ = on;
  for (auto& source : sources_) watch(*source, on);
}

void Acceptor::accept(Source& source) {
  for (int i = 0; i < kBatch; ++i) {
    if (!admission_.enter()) return pauseForRoom();
    if (!acceptOne(source, For::kAnybody)) return;
  }
}

// The place in the admission is taken already; an accept that came to nothing gives it back, which also wakes whoever
// saw none free meanwhile.
bool Acceptor::acceptOne(Source& source, For whom) {
  sockaddr_storage peer;
  socklen_t size = sizeof(peer);
  const int fd =
      ::accept4(source.listener->fd(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    admission_.leave();
    if (error == EINTR || error == ECONNABORTED) return true;
    source.behind = false;
    if (error != EAGAIN && error != EWOULDBLOCK) handleError(error);
    return false;
  }
  if (source.behind) mailbox_.counters.waited.add();
  Fd client(fd);
  const Address address(reinterpret_cast<const sockaddr*>(&peer), size);
  const std::uint16_t local_port = source.listener->address().port();
  if (whom == For::kAnybody)
    if (Mailbox& to = sharing_.choose(mailbox_); &to != &mailbox_ && handOver(to, client, address, local_port))
      return true;
  sessions_.add(std::move(client), address, local_port);
  return true;
}

// False where the other takes none, or memory is out: the client stays ours.
bool Acceptor::handOver(Mailbox& to, Fd& client, const Address& address, std::uint16_t local_port) noexcept {
  std::unique_ptr<Newcomer> newcomer(new (std::nothrow) Newcomer{std::move(client), address, local_port, nullptr});
  if (newcomer == nullptr) return false;
  switch (to.inbox.put(newcomer, nowNs())) {
    case Inbox::Handed::kFirst:
      to.wake();
      return true;
    case Inbox::Handed::kMore:
      return true;
    case Inbox::Handed::kRefused:
      client = std::move(newcomer->client);
      return false;
  }
  return false;
}

void Acceptor::takeIn(std::unique_ptr<Newcomer> newcomers) noexcept {
  for (; newcomers != nullptr; newcomers = std::move(newcomers->next)) {
    sessions_.add(std::move(newcomers->client), newcomers->address, newcomers->local_port);
    mailbox_.inbox.noteServed();  // only now, lest others think that this worker has few
  }
}

void Acceptor::handleError(int error) {
  mailbox_.counters.accept_errors.add();
  const std::uint64_t now = nowNs();
  paused_until_ = now + kPause;
  watch(false);
  if (complained_at_ != 0 && now - complained_at_ < kComplainEvery) return;
  complained_at_ = now;
  const bool shortage = error == EMFILE || error == ENFILE;
  log::error("proxy",
             shortage ? "out of descriptors, clients wait; raise the limit (ulimit -n, LimitNOFILE)"
                      : "cannot accept clients, trying again",
             {{"error", std::strerror(error)}, {"sessions", sessions_.size()}});
}

void Acceptor::want(bool room) {
  if (room != std::exchange(wanting_, room)) room ? admission_.startWanting() : admission_.stopWanting();
  mailbox_.wants_room.store(room);
}

void Acceptor::pauseForRoom() {
  watch(false);
  want(true);
  for (auto& source : sources_) source->behind = true;
  if (admission_.noteFull(nowNs()))
    log::warning("proxy", "max_connections is reached, further clients wait",
                 {{"max_connections", admission_.limit()}});
  // A place that became free before that has told nobody.
  if (admission_.hasRoom()) mailbox_.wake();
}

// Under load the room is for one client, from each listener in turn, and there is nothing to watch for.
void Acceptor::resume() {
  if (watching_ || paused_until_ != 0) return;
  if (!admission_.hasRoom()) return pauseForRoom();
  want(false);
  for (std::size_t n = 0; n < sources_.size() && !wanting_ && paused_until_ == 0; ++n)
    accept(*sources_[next_source_++ % sources_.size()]);
  if (!wanting_ && paused_until_ == 0) watch(true);
}

void Acceptor::handleDue(std::uint64_t now) {
  if (paused_until_ == 0 || now < paused_until_) return;
  paused_until_ = 0;
  resume();
}

void Acceptor::leave() {
  watch(false);
  sources_.clear();
  takeIn(mailbox_.inbox.close());
  reset();
}

void Acceptor::look() {
  for (std::size_t i = 0; watching_ && i < sources_.size(); ++i) accept(*sources_[i]);
  resume();
}

void Acceptor::stop() {
  while (!sources_.empty()) unlisten(*sources_.back()->listener);
  takeIn(mailbox_.inbox.close());
  reset();
}

// Without listeners it wants nothing.
void Acceptor::reset() {
  want(false);
  paused_until_ = 0;
  watching_ = true;
}

}  // namespace lemonade::proxy
