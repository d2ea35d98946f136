// SPDX-License-Identifier: MIT
#include "proxy/epoll_relay.h"

#include "base/fd.h"
#include "unit/proxy/deaf_owner.h"

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

using namespace lemonade;
using namespace lemonade::proxy;

namespace {

/// Like the listener, whose new session lets the old ones be freed.
struct Curious final : Guest {
  Curious(EpollRelay& of, Session& about) : relay(of), session(about) {}
  void handleReady(std::uint32_t) noexcept override { let_go = relay.forget(session); }

  EpollRelay& relay;
  Session& session;
  bool let_go = true;
};

}  // namespace

TEST_CASE("EpollRelay lets go of a session only when no event of the turn can be about it", "[proxy]") {
  Meter meter{0};
  DeafOwner owner;
  EpollRelay relay{meter};
  relay.setOwner(owner);
  Session& session = *relay.take(Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  session.state = Session::State::kClosed;
  relay.close(session, Side::kClient, false);
  Curious guest(relay, session);
  const Fd ready(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  relay.addGuest(ready.get(), POLLIN, guest, EventLoop::Wake::kOne);
  relay.wait();
  CHECK_FALSE(guest.let_go);
  CHECK(relay.forget(session));
  relay.free(session);
  relay.removeGuest(ready.get());
}
