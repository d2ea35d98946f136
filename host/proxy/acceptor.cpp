// SPDX-License-Identifier: MIT
#include "proxy/acceptor.h"

#include "base/log.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

namespace lemonade::proxy {

namespace {

constexpr int kBatch = 32;
constexpr std::uint64_t kPause = 100'000'000;
constexpr std::uint64_t kComplainEvery = 10'000'000'000;

}  // namespace

void Acceptor::listen(const std::shared_ptr<Listener>& listener, std::shared_ptr<const ListeningSocket> socket) {
  mailbox_.inbox.open();
  Entrance& entrance = entranceOf(listener);
  const Door* before = nullptr;
  for (const auto& other : entrances_)
    for (const auto& door : other->doors)
      if (door->socket == socket) before = door.get();
  if (before != nullptr && &before->entrance == &entrance) return;
  auto door = std::make_unique<Door>(entrance, std::move(socket));
  entrance.doors.reserve(entrance.doors.size() + 1);
  if (before != nullptr) remove(*before);
  if (entrance.watched) watch(*door, true);
  entrance.doors.push_back(std::move(door));
}

Acceptor::Entrance& Acceptor::entranceOf(const std::shared_ptr<Listener>& listener) {
  for (const auto& entrance : entrances_)
    if (entrance->listener == listener) return *entrance;
  entrances_.reserve(entrances_.size() + 1);
  full_.reserve(entrances_.size() + 1);
  entrances_.push_back(std::make_unique<Entrance>(*this, listener));
  entrances_.back()->watched = paused_until_ == 0;
  return *entrances_.back();
}

void Acceptor::unlisten(const ListeningSocket& socket) {
  for (const auto& entrance : entrances_)
    for (const auto& door : entrance->doors) {
      if (door->socket.get() != &socket) continue;
      // First, so that the kernel wakes this worker for no client that comes after the last accept: another process may
      // wait at the same socket.
      if (entrance->watched) watch(*door, false);
      while (entrance->listener->admission().enter() && acceptOne(*door, For::kOurselves)) {
      }
      return remove(*door);
    }
}

// A listener without sockets wants no room.
void Acceptor::remove(const Door& door) noexcept {
  Entrance& entrance = door.entrance;
  if (entrance.watched) loop_.removeGuest(door.socket->fd());
  std::erase_if(entrance.doors, [&](const auto& one) { return one.get() == &door; });
  if (!entrance.doors.empty()) return;
  want(entrance, false);
  std::erase_if(entrances_, [&](const auto& one) { return one.get() == &entrance; });
}

void Acceptor::watch(Door& door, bool on) {
  const int fd = door.socket->fd();
  on ? loop_.addGuest(fd, POLLIN, door, EventLoop::Wake::kOne) : loop_.removeGuest(fd);
}

void Acceptor::watch(Entrance& entrance, bool on) {
  if (on == entrance.watched) return;
  entrance.watched = on;
  for (auto& door : entrance.doors) watch(*door, on);
}

void Acceptor::accept(Door& door) {
  for (int i = 0; i < kBatch; ++i) {
    if (!door.entrance.listener->admission().enter()) return pauseForRoom(door.entrance);
    if (!acceptOne(door, For::kAnybody)) return;
  }
}

// The place in the admission is taken already; an accept that came to nothing gives it back, which also wakes a worker
// that saw none free meanwhile.
bool Acceptor::acceptOne(Door& door, For whom) {
  Listener& listener = *door.entrance.listener;
  sockaddr_storage peer;
  socklen_t size = sizeof(peer);
  const int fd = ::accept4(door.socket->fd(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    listener.admission().leave();
    if (error == EINTR || error == ECONNABORTED) return true;
    door.behind = false;
    if (error != EAGAIN && error != EWOULDBLOCK) handleError(door.entrance, error);
    return false;
  }
  if (door.behind) door.entrance.at.counters.waited.add();
  Fd client(fd);
  const Address address(reinterpret_cast<const sockaddr*>(&peer), size);
  if (whom == For::kAnybody)
    if (Mailbox& to = sharing_.choose(mailbox_); &to != &mailbox_ && handOver(to, client, address, door)) return true;
  admit(std::move(client), address, door.socket->address().port(), listener);
  return true;
}

// The client is in its admission, and stays with this worker.
void Acceptor::admit(Fd client, const Address& peer, std::uint16_t local_port, Listener& listener) noexcept {
  if (listener.readsHeaders()) return headers_.take(std::move(client), peer, local_port, listener);
  sessions_.add(std::move(client), peer, local_port, listener);
}

// False where the other takes none, or memory is out: the client stays ours.
bool Acceptor::handOver(Mailbox& to, Fd& client, const Address& address, const Door& door) noexcept {
  std::unique_ptr<Newcomer> newcomer(new (std::nothrow) Newcomer{
      std::move(client), address, door.socket->address().port(), door.entrance.listener.get(), nullptr});
  if (newcomer == nullptr) return false;
  switch (to.inbox.put(newcomer, clock_.nowNs())) {
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
    admit(std::move(newcomers->client), newcomers->address, newcomers->local_port, *newcomers->listener);
    mailbox_.inbox.noteServed();  // only now, lest others think that this worker has few
  }
}

void Acceptor::handleError(const Entrance& entrance, int error) {
  entrance.at.counters.accept_errors.add();
  const std::uint64_t now = clock_.nowNs();
  paused_until_ = now + kPause;
  for (const auto& one : entrances_) watch(*one, false);
  if (complained_at_ != 0 && now - complained_at_ < kComplainEvery) return;
  complained_at_ = now;
  const bool shortage = error == EMFILE || error == ENFILE;
  log::error(
      "proxy",
      shortage ? "out of descriptors, clients wait; raise the limit (ulimit -n, LimitNOFILE)"
               : "cannot accept clients, trying again",
      {{"listener", entrance.listener->name()}, {"error", std::strerror(error)}, {"sessions", sessions_.size()}});
}

void Acceptor::want(Entrance& entrance, bool room) noexcept {
  Admission& admission = entrance.listener->admission();
  if (room != std::exchange(entrance.full, room)) {
    room ? admission.startWanting() : admission.stopWanting();
    room ? full_.push_back(&entrance) : void(std::erase(full_, &entrance));
  }
  entrance.at.wants_room.store(room);
}

void Acceptor::pauseForRoom(Entrance& entrance) {
  Admission& admission = entrance.listener->admission();
  watch(entrance, false);
  want(entrance, true);
  for (auto& door : entrance.doors) door->behind = true;
  if (admission.noteFull(clock_.nowNs()))
    log::warning("proxy", "max_connections is reached, further clients wait",
                 {{"listener", entrance.listener->name()}, {"max_connections", admission.limit()}});
  // A place that became free before that has told nobody.
  if (admission.hasRoom()) mailbox_.wake();
}

// From the back, where one that is full again is put.
void Acceptor::resume() {
  for (std::size_t i = full_.size(); i-- > 0 && paused_until_ == 0;)
    if (i < full_.size()) resume(*full_[i]);
}

// Under load the room is for one client, from each socket in turn, and there is nothing to watch for.
void Acceptor::resume(Entrance& entrance) {
  if (!entrance.listener->admission().hasRoom()) return pauseForRoom(entrance);
  want(entrance, false);
  auto& doors = entrance.doors;
  for (std::size_t n = 0; n < doors.size() && !entrance.full && paused_until_ == 0; ++n)
    accept(*doors[entrance.next_door++ % doors.size()]);
  if (!entrance.full && paused_until_ == 0) watch(entrance, true);
}

std::uint64_t Acceptor::nextDue() const noexcept {
  const std::uint64_t headers = headers_.nextDue();
  return paused_until_ == 0 || headers == 0 ? std::max(paused_until_, headers) : std::min(paused_until_, headers);
}

void Acceptor::handleDue(std::uint64_t now) {
  headers_.handleDue(now);
  if (paused_until_ == 0 || now < paused_until_) return;
  paused_until_ = 0;
  for (std::size_t i = 0; i < entrances_.size() && paused_until_ == 0; ++i)
    if (!entrances_[i]->watched) resume(*entrances_[i]);
}

void Acceptor::leave() {
  for (const auto& entrance : entrances_) {
    watch(*entrance, false);
    want(*entrance, false);
  }
  entrances_.clear();
  takeIn(mailbox_.inbox.close());
  reset();
}

void Acceptor::look() {
  for (const auto& entrance : entrances_)
    for (std::size_t i = 0; entrance->watched && i < entrance->doors.size(); ++i) accept(*entrance->doors[i]);
  resume();
}

void Acceptor::stop() {
  while (!entrances_.empty()) {
    const auto& doors = entrances_.back()->doors;
    doors.empty() ? entrances_.pop_back() : unlisten(*doors.back()->socket);
  }
  takeIn(mailbox_.inbox.close());
  reset();
}

// Without sockets there is nothing to pause for.
void Acceptor::reset() noexcept { paused_until_ = 0; }

}  // namespace lemonade::proxy
