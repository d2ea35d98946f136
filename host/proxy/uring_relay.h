// SPDX-License-Identifier: MIT
//
// The relay over io_uring: what to receive and send is asked of the kernel in batches, along with the wait for what has
// come, so that a message costs no system call of its own.
//
// 1. For each direction of a session one receive is under way at most, and one send. What is received while a buffer
// waits
//    for the other endpoint is no more than that buffer has room for: where its send stalls, both become one, and an
//    endpoint that reads nothing holds one buffer.
// 2. The kernel refers to a session in as many requests as its in_kernel says; until all are done it is not freed, and
//    what comes back for an endpoint that is closed meanwhile is dropped.
// 3. What an end means is decided when all of a turn has been taken in.
#pragma once

#include "base/fd.h"
#include "proxy/coalescing.h"
#include "proxy/meter.h"
#include "proxy/relay.h"
#include "proxy/ring.h"
#include "proxy/ring_buffers.h"
#include "proxy/ring_options.h"
#include "proxy/uring_session.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace lemonade::proxy {

class UringRelay final : public Relay {
 public:
  /// Throws std::system_error where the kernel does not offer what this needs, or forbids it.
  explicit UringRelay(Meter& meter);
  ~UringRelay() override;

  void attach() override;
  void leave() noexcept override { leaving_ = true; }
  void detach() noexcept override;
  void addGuest(int fd, std::uint32_t events, Guest& guest, Wake wake) override;
  void removeGuest(int fd) noexcept override;
  void wait() noexcept override;

  void setOption(int fd, int level, int name, int value) noexcept override;
  Connect connect(Session& session, const Address& address) noexcept override;
  void dropBackend(Session& session) noexcept override;

  Session* take(Fd client) noexcept override;
  void start(Session& session) noexcept override;
  void deliver(Session& session) noexcept override;
  std::size_t pending(const Session& session, Side side) const noexcept override;
  void close(Session& session, Side side, bool reset) noexcept override;
  bool forget(Session& session) noexcept override;
  void free(Session& session) noexcept override { delete &own(session); }

 private:
  enum class Request : std::uint64_t { kNoMatter, kReceive, kSend, kConnect, kWatch, kGuest };
  struct Watched {
    int fd;
    std::uint32_t events;
    Guest* guest;
    Wake wake;
    std::uint64_t number;  // of its own, since descriptors are used again
    bool asked;            // the kernel will tell
  };
  template <boost::intrusive::list_member_hook<> UringSession::*hook>
  using Queue =
      boost::intrusive::list<UringSession,
                             boost::intrusive::member_hook<UringSession, boost::intrusive::list_member_hook<>, hook>,
                             boost::intrusive::constant_time_size<false>>;

  /// Every session is one of this relay's.
  static UringSession& own(Session& session) noexcept { return static_cast<UringSession&>(session); }

  static std::uint64_t nameOf(const UringSession& session, Side side, Request request) noexcept;
  io_uring_sqe& ask(UringSession& session, Side side, Request request, int operation, int fd) noexcept;
  void receive(UringSession& session, Side side) noexcept;
  bool mayReceive(const UringSession& session, Side side) const noexcept;
  void want(UringSession& session, Side side) noexcept;
  void send(UringSession& session, Side side) noexcept;
  bool leavesNothing(const UringSession& session, Side side) const noexcept;
  void submitSend(UringSession& session, Side side, bool at_once) noexcept;
  void handleSendFailed(UringSession& session, Side side, int error) noexcept;
  void watch(UringSession& session, Side side) noexcept;

  void handleCompletion(const Completion& completion) noexcept;
  void handleGuest(std::uint64_t number, std::int32_t result) noexcept;
  void giveBack(const Completion& completion) noexcept;
  void drop(UringSession& session, Side side, Request request, const Completion& completion) noexcept;
  void handleReceived(UringSession& session, Side side, const Completion& completion) noexcept;
  void handleBytes(UringSession& session, Side side, const Completion& completion) noexcept;
  void handleReceiveFailed(UringSession& session, Side side) noexcept;
  void append(UringSession& session, Side side, RingBuffers::Id id) noexcept;
  void handleSent(UringSession& session, Side side, int result) noexcept;
  void handleConnect(UringSession& session, int result) noexcept;
  void handleWatched(UringSession& session, Side side, const Completion& completion) noexcept;

  void settleLater(UringSession& session) noexcept;
  void settleAll() noexcept;
  void settle(UringSession& session) noexcept;
  void askForGuests() noexcept;
  void feedStarved() noexcept;
  void cancel(const UringSession& session, Side side) noexcept;
  void popOwed(UringSession& session, Side side) noexcept;
  void dropOwed(UringSession& session, Side side) noexcept;

  Meter& meter_;
  std::unique_ptr<Ring> ring_;
  RingBuffers buffers_;
  RingOptions options_;
  std::vector<Watched> guests_;
  std::uint64_t last_number_ = 0;
  Queue<&UringSession::settling_hook> settling_;
  Queue<&UringSession::starved_hook> starved_;  // found no buffer on offer; in_kernel counts this, too
  Coalescing coalescing_;
  std::uint64_t gather_ns_ = 0;  // before the next wait
  int events_ = 0;               // of the turn
  bool attached_ = false;
  bool leaving_ = false;
};

}  // namespace lemonade::proxy
