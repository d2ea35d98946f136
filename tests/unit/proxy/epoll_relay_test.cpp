// SPDX-License-Identifier: MIT
#include "proxy/epoll_relay.h"

#include "base/fd.h"

#include <catch2/catch.hpp>

#include <sys/eventfd.h>

using namespace lemonade;
using namespace lemonade::proxy;

namespace {

struct Deaf final : Relay::Owner {
  void handleTurn(std::uint64_t) noexcept override {}
  void handleConnected(Session&) noexcept override {}
  void handleConnectFailed(Session&, int) noexcept override {}
  void handleAbandoned(Session&) noexcept override {}
  void handleActivity(Session&) noexcept override {}
  void handleEnding(Session&, Ending) noexcept override {}
  void handleNoMemory(Session&) noexcept override {}
  void handleDelivery(Session&) noexcept override {}
};

/// Like the listener, whose new session lets the old ones be freed.
struct Curious final : Guest {
  Curious(EpollRelay& of, Session& about) : relay(of), session(about) {}
  void handleReadable() noexcept override { let_go = relay.forget(session); }

  EpollRelay& relay;
  Session& session;
  bool let_go = true;
};

}  // namespace

TEST_CASE("EpollRelay lets go of a session only when no event of the turn can be about it", "[proxy]") {
  Backend backend({.id = "a", .name = "a", .host = "127.0.0.1", .port = 80}, *Address::parse("127.0.0.1:80"), 1);
  Quiescence quiescence{1};
  Pool pool{"default", quiescence, 1};
  Meter meter{0};
  Deaf owner;
  EpollRelay relay{owner, meter};
  Session session;
  session.state = Session::State::kClosed;
  Curious guest(relay, session);
  const Fd ready(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  relay.addGuest(ready.get(), &guest);
  CHECK(relay.wait());
  CHECK_FALSE(guest.let_go);
  CHECK(relay.forget(session));
  relay.removeGuest(ready.get());
}
