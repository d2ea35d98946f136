// SPDX-License-Identifier: MIT
//
// What moves the bytes of a worker's sessions, and tells what becomes of them. It owns how the kernel is asked (epoll
// or io_uring) and the sockets as long as they are open; which session there is, how long it may take and what its end
// means is its owner's, the session set. Worker thread only, but for construction and what says otherwise.
//
// A session goes watchClient -> connect (-> dropBackend -> connect ...) -> start -> owner.handleEnd, and is closed by
// its owner at any moment. It may be freed when forget() says so.
#pragma once

#include "proxy/ends.h"
#include "proxy/session.h"

#include <cstddef>
#include <cstdint>

namespace lemonade::proxy {

/// A descriptor that is no session's and is waited for along with them.
class Guest {
 public:
  virtual void handleReadable() = 0;

 protected:
  ~Guest() = default;
};

class Relay {
 public:
  /// Who is told. Every call comes from within wait() or start(), and may close any session.
  class Owner {
   public:
    /// A turn begins, at this time; all other calls are part of it.
    virtual void handleTurn(std::uint64_t now) noexcept = 0;
    virtual void handleConnected(Session& session) noexcept = 0;
    /// error is an errno.
    virtual void handleConnectFailed(Session& session, int error) noexcept = 0;
    /// The client broke the connection before a backend had it.
    virtual void handleAbandoned(Session& session) noexcept = 0;
    /// Something came or went. The session is in kRelaying.
    virtual void handleActivity(Session& session) noexcept = 0;
    /// The ends of the session came to something. It is in kRelaying, and relays on only where isEnding() holds and
    /// `ending` is kOpen.
    virtual void handleEnding(Session& session, Ending ending) noexcept = 0;
    /// There was no memory to relay with.
    virtual void handleNoMemory(Session& session) noexcept = 0;
    /// Of a session in kDelivering: its survivor may have got everything.
    virtual void handleDelivery(Session& session) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  enum class Connect { kConnecting, kConnected, kFailed };

  virtual ~Relay() = default;

  /// Readable while the worker should come to wait().
  virtual int fd() const noexcept = 0;
  /// The worker's thread begins and ends. After detach() nothing is waited for any more.
  virtual void attach() {}
  /// From now on wait() does not wait.
  virtual void leave() noexcept {}
  virtual void detach() noexcept {}

  /// Watches a descriptor until removeGuest. With a guest to call, it is one that all workers watch: the kernel wakes
  /// one of those that wait, in turn. Without, it is the reactor's turn when it is readable.
  virtual void addGuest(int fd, Guest* guest) = 0;
  virtual void removeGuest(int fd) noexcept = 0;

  /// Waits until something is ready and handles it. False where it is the reactor's turn.
  virtual bool wait() noexcept = 0;

  /// Begins to look after a client; false where memory is out.
  virtual bool watchClient(Session& session) noexcept = 0;
  /// Sets an option of a socket before it connects; one that the kernel refuses stays as it was.
  virtual void setOption(int fd, int level, int name, int value) noexcept = 0;
  /// Connects session.backend, a new socket, to this address, which lives on while the session has its target. kFailed
  /// comes with errno. After kConnecting the owner is told.
  virtual Connect connect(Session& session, const Address& address) noexcept = 0;
  /// Closes session.backend, whose connect failed or took too long.
  virtual void dropBackend(Session& session) noexcept = 0;
  /// Relays, now that the backend is connected. The session is in kRelaying.
  virtual void start(Session& session) noexcept = 0;
  /// Goes on with a session that has come to kDelivering, of which one endpoint is closed: writes what waits for the
  /// other, and tells the owner of what happens there, though not of each acknowledgement.
  virtual void deliver(Session& session) noexcept = 0;
  /// How many bytes wait here to be written to the endpoint.
  virtual std::size_t pending(const Endpoint& endpoint) const noexcept = 0;
  /// Closes a socket, if it is open: with a FIN after what was written, or with a reset. Bytes under way to it are
  /// lost.
  virtual void close(Session& session, Endpoint& endpoint, bool reset) noexcept = 0;
  /// Lets go of a closed session, so that it can be freed. False where the kernel holds on to it: ask again after the
  /// next wait().
  virtual bool forget(Session& session) noexcept = 0;
};

}  // namespace lemonade::proxy
