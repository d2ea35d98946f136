// SPDX-License-Identifier: MIT
//
// A Poco reactor that waits in a relay: what is registered with it is dispatched, over either relay.
#include "proxy/loop_reactor.h"

#include "base/borrowed_socket.h"
#include "base/fd.h"
#include "proxy/relays.h"
#include "support/skip.h"
#include "unit/proxy/deaf_owner.h"

#include <catch2/catch.hpp>

#include <Poco/NObserver.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <memory>

using namespace lemonade;
using namespace lemonade::proxy;

namespace {

using Poco::Net::ReadableNotification;
using Poco::Net::ShutdownNotification;
using Poco::Net::WritableNotification;

/// Runs so many turns.
class Turning final : public LoopReactor {
 public:
  explicit Turning(EventLoop& loop) : LoopReactor(loop) {}
  void turn(int turns) {
    left_ = turns;
    LoopReactor::run();
  }

 private:
  void onBusy() override {
    if (--left_ == 0) stop();
  }
  int left_ = 0;
};

struct Fixture {
  explicit Fixture(RelayKind kind) : relay(makeRelay(kind, meter)) {
    relay->setOwner(owner);
    relay->attach();
  }
  ~Fixture() { relay->detach(); }

  Meter meter{0};
  DeafOwner owner;
  std::unique_ptr<Relay> relay;
};

/// Counts what it is told, and where asked removes itself at the first.
struct Listening {
  Listening(LoopReactor& of, int fd) : reactor(of), socket(fd) {}

  Poco::NObserver<Listening, ReadableNotification> reader() { return {*this, &Listening::onReadable}; }
  Poco::NObserver<Listening, WritableNotification> writer() { return {*this, &Listening::onWritable}; }
  Poco::NObserver<Listening, ShutdownNotification> ender() { return {*this, &Listening::onShutdown}; }

  void onReadable(const Poco::AutoPtr<ReadableNotification>& notification) {
    CHECK(notification->socket() == socket);
    ++readable;
    if (once) reactor.removeEventHandler(socket, reader());
  }
  void onWritable(const Poco::AutoPtr<WritableNotification>&) {
    ++writable;
    if (once) reactor.removeEventHandler(socket, writer());
  }
  void onShutdown(const Poco::AutoPtr<ShutdownNotification>&) { ++shutdown; }

  LoopReactor& reactor;
  BorrowedSocket socket;
  bool once = false;
  int readable = 0, writable = 0, shutdown = 0;
};

RelayKind eitherRelay() {
  const RelayKind kind = GENERATE(RelayKind::kEpoll, RelayKind::kUring);
  if (kind == RelayKind::kUring && !whyNoUring().empty()) test::skip(whyNoUring());
  return kind;
}

}  // namespace

TEST_CASE("LoopReactor calls a handler of Poco for as long as its socket is readable", "[proxy]") {
  Fixture f(eitherRelay());
  Turning reactor(*f.relay);
  const Fd ready(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  Listening listening(reactor, ready.get());
  reactor.addEventHandler(listening.socket, listening.reader());
  CHECK(reactor.hasEventHandler(listening.socket, listening.reader()));
  reactor.turn(3);
  CHECK(listening.readable == 3);
  reactor.removeEventHandler(listening.socket, listening.reader());
  CHECK_FALSE(reactor.has(listening.socket));
}

TEST_CASE("LoopReactor lets a handler remove itself, and calls the other one of the socket on", "[proxy]") {
  Fixture f(eitherRelay());
  Turning reactor(*f.relay);
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  const Fd ours(pair[0]), peer(pair[1]);
  REQUIRE(::send(peer.get(), "x", 1, 0) == 1);
  Listening listening(reactor, ours.get());
  reactor.addEventHandler(listening.socket, listening.writer());
  Listening other(reactor, ours.get());
  reactor.addEventHandler(listening.socket, other.reader());
  listening.once = true;
  other.socket = listening.socket;
  reactor.turn(3);
  CHECK(listening.writable == 1);
  CHECK(other.readable == 3);
  reactor.removeEventHandler(listening.socket, other.reader());
}

TEST_CASE("LoopReactor tells handlers of its end", "[proxy]") {
  Fixture f(eitherRelay());
  Turning reactor(*f.relay);
  const Fd ready(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  Listening listening(reactor, ready.get());
  reactor.addEventHandler(listening.socket, listening.reader());
  reactor.addEventHandler(listening.socket, listening.ender());
  reactor.turn(1);
  CHECK(listening.shutdown == 1);
}

TEST_CASE("LoopReactor sleeps while nothing that is registered with it is ready", "[proxy]") {
  Fixture f(eitherRelay());
  Turning reactor(*f.relay);
  const Fd quiet(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  Listening listening(reactor, quiet.get());
  reactor.addEventHandler(listening.socket, listening.reader());
  f.relay->leave();  // one turn takes in what there is, and waits for nothing
  reactor.turn(1);
  CHECK(listening.readable == 0);
}
