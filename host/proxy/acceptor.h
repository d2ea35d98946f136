// SPDX-License-Identifier: MIT
//
// Accepts clients for one worker. All workers share each listening socket, and the kernel wakes one of those that wait,
// in turn; it accepts all that have come, in small batches, and hands those to others of which it has more than its
// share. Where a listener has no free place, the worker stops watching the sockets of that listener instead of
// spinning, and goes on when told that there is room; without descriptors it stops watching all of them for a while.
// Worker thread only.
#pragma once

#include "base/clock.h"
#include "proxy/event_loop.h"
#include "proxy/header_reader.h"
#include "proxy/listener.h"
#include "proxy/mailbox.h"
#include "proxy/session_set.h"
#include "proxy/sharing.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace lemonade::proxy {

class Acceptor {
 public:
  /// All of these, of which mailbox is that of the worker, must outlive this.
  Acceptor(std::uint32_t worker, SessionSet& sessions, EventLoop& loop, Sharing& sharing, Mailbox& mailbox,
           const Clock& clock)
      : worker_(worker),
        sessions_(sessions),
        loop_(loop),
        sharing_(sharing),
        mailbox_(mailbox),
        clock_(clock),
        headers_(worker, sessions, loop, mailbox, clock) {}
  ~Acceptor() { stop(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// Begins to accept from a socket of the listener, unless it does already. Where it did so for another listener, the
  /// clients that wait there are the new one's. Throws std::bad_alloc, and has then done nothing.
  void listen(const std::shared_ptr<Listener>& listener, std::shared_ptr<const ListeningSocket> socket);
  /// Takes in the clients that have already connected to a socket, as far as there are places, and lets go of it.
  void unlisten(const ListeningSocket& socket);

  /// Takes in the clients that other workers have handed to this one.
  void takeNewcomers() noexcept { takeIn(mailbox_.inbox.takeAll()); }
  /// Goes on accepting where it stopped for want of places.
  void resume();
  /// Goes on accepting if a pause for want of descriptors is over. Ends clients whose PROXY header takes too long.
  void handleDue(std::uint64_t now);
  /// When either is due, monotonic nanoseconds; 0 where there is neither.
  std::uint64_t nextDue() const noexcept;
  /// Resets the clients whose PROXY header is still being read.
  void closeHeaders() noexcept { headers_.closeAll(); }

  /// Lets go of all sockets, in the same way.
  void stop();
  /// Lets go of all sockets and leaves the clients that wait there to the other workers, which must look(): the kernel
  /// may have told nobody else of them.
  void leave();
  /// Takes in the clients that wait.
  void look();

 private:
  /// A listener from which this worker accepts.
  struct Entrance;

  /// One of its listening sockets.
  struct Door final : Guest {
    Door(Entrance& of, std::shared_ptr<const ListeningSocket> from) : entrance(of), socket(std::move(from)) {}
    void handleReady(std::uint32_t) noexcept override { entrance.acceptor.accept(*this); }

    Entrance& entrance;
    const std::shared_ptr<const ListeningSocket> socket;
    bool behind = false;  // clients may wait there that came while there was no room
  };

  struct Entrance {
    Entrance(Acceptor& owner, std::shared_ptr<Listener> from)
        : acceptor(owner), listener(std::move(from)), at(listener->at(owner.worker_)) {}

    Acceptor& acceptor;
    const std::shared_ptr<Listener> listener;
    ListenerAtWorker& at;
    std::vector<std::unique_ptr<Door>> doors;
    std::size_t next_door = 0;
    bool watched = true;
    bool full = false;  // it has no place, and the admission knows that room is wanted
  };

  Entrance& entranceOf(const std::shared_ptr<Listener>& listener);
  void remove(const Door& door) noexcept;
  void accept(Door& door);
  void admit(Fd client, const Address& peer, std::uint16_t local_port, Listener& listener) noexcept;
  enum class For { kAnybody, kOurselves };
  bool acceptOne(Door& door, For whom);
  bool handOver(Mailbox& to, Fd& client, const Address& address, const Door& door) noexcept;
  void takeIn(std::unique_ptr<Newcomer> newcomers) noexcept;
  void handleError(const Entrance& entrance, int error);
  void watch(Door& door, bool on);
  void watch(Entrance& entrance, bool on);
  void reset() noexcept;
  void want(Entrance& entrance, bool room) noexcept;
  void pauseForRoom(Entrance& entrance);
  void resume(Entrance& entrance);

  const std::uint32_t worker_;
  SessionSet& sessions_;
  EventLoop& loop_;
  Sharing& sharing_;
  Mailbox& mailbox_;
  const Clock& clock_;
  HeaderReader headers_;
  std::vector<std::unique_ptr<Entrance>> entrances_;
  std::vector<Entrance*> full_;  // those that are; has room for all
  std::uint64_t paused_until_ = 0;
  std::uint64_t complained_at_ = 0;
};

}  // namespace lemonade::proxy
