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

#include <cstdint>
#include <memory>
#include <vector>

namespace lemonade::proxy {

class UringRelay final : public Relay {
 public:
  /// Throws std::system_error where the kernel does not offer what this needs, or forbids it.
  UringRelay(Owner& owner, Meter& meter);
  ~UringRelay() override;

  int fd() const noexcept override { return always_ready_.get(); }
  void attach() override;
  void leave() noexcept override { leaving_ = true; }
  void detach() noexcept override;

  void addGuest(int fd, Guest* guest) override;
  void removeGuest(int fd) noexcept override;
  bool wait() noexcept override;

  bool watchClient(Session& session) noexcept override;
  void setOption(int fd, int level, int name, int value) noexcept override;
  Connect connect(Session& session, const Address& address) noexcept override;
  void dropBackend(Session& session) noexcept override;
  void start(Session& session) noexcept override;
  void deliver(Session& session) noexcept override;
  std::size_t pending(const Endpoint& endpoint) const noexcept override;
  void close(Session& session, Endpoint& endpoint, bool reset) noexcept override;
  bool forget(Session& session) noexcept override;

 private:
  enum class Side : std::uint64_t { kClient = 0, kBackend = 1 };
  enum class Request : std::uint64_t { kNoMatter, kReceive, kSend, kConnect, kWatch, kGuest };
  struct Visitor {
    int fd;
    Guest* guest;
    std::uint64_t number;  // of its own, since descriptors are used again
    bool asked;            // the kernel will tell
  };

  static Endpoint& endpoint(Session& session, Side side) noexcept {
    return side == Side::kClient ? session.client : session.backend;
  }
  static const Endpoint& endpoint(const Session& session, Side side) noexcept {
    return side == Side::kClient ? session.client : session.backend;
  }
  static Side other(Side side) noexcept { return side == Side::kClient ? Side::kBackend : Side::kClient; }

  static std::uint64_t nameOf(const Session& session, Side side, Request request) noexcept;
  io_uring_sqe& ask(Session& session, Side side, Request request, int operation, int fd) noexcept;
  void receive(Session& session, Side side) noexcept;
  bool mayReceive(const Session& session, Side side) const noexcept;
  void want(Session& session, Side side) noexcept;
  void send(Session& session, Side side) noexcept;
  bool leavesNothing(Session& session, Side side) noexcept;
  void submitSend(Session& session, Side side, bool at_once) noexcept;
  void handleSendFailed(Session& session, Side side, int error) noexcept;
  void watch(Session& session, Side side) noexcept;

  void handleCompletion(const Completion& completion) noexcept;
  void handleGuest(std::uint64_t number) noexcept;
  void giveBack(const Completion& completion) noexcept;
  void drop(Endpoint& endpoint, Request request, const Completion& completion) noexcept;
  void handleReceived(Session& session, Side side, const Completion& completion) noexcept;
  void handleBytes(Session& session, Side side, const Completion& completion) noexcept;
  void handleReceiveFailed(Session& session, Side side) noexcept;
  void append(Session& session, Side side, RingBuffers::Id id) noexcept;
  void handleSent(Session& session, Side side, int result) noexcept;
  void handleConnect(Session& session, int result) noexcept;
  void handleWatched(Session& session, Side side, const Completion& completion) noexcept;

  void settleLater(Session& session) noexcept;
  void settleAll() noexcept;
  void settle(Session& session) noexcept;
  void askForGuests() noexcept;
  void feedStarved() noexcept;
  void cancel(const Session& session, const Endpoint& endpoint) noexcept;
  void popOwed(Endpoint& endpoint) noexcept;
  void dropOwed(Endpoint& endpoint) noexcept;

  Owner& owner_;
  Meter& meter_;
  Fd always_ready_;  // the worker waits here; its reactor has its turn when a guest of it is readable
  std::unique_ptr<Ring> ring_;
  RingBuffers buffers_;
  RingOptions options_;
  std::vector<Visitor> visitors_;
  std::uint64_t last_number_ = 0;
  SessionQueue<&Session::again_hook> settling_;
  SessionQueue<&Session::starved_hook> starved_;  // found no buffer on offer; in_kernel counts this, too
  Coalescing coalescing_;
  std::uint64_t gather_ns_ = 0;  // before the next wait
  int events_ = 0;               // of the turn
  bool reactors_turn_ = false;
  bool attached_ = false;
  bool leaving_ = false;
};

}  // namespace lemonade::proxy
