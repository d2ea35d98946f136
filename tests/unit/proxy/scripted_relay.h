// SPDX-License-Identifier: MIT
//
// A relay that touches no network: connects come to what the test says, and the test tells the owner what happens.
#pragma once

#include "proxy/relay.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::proxy {

class ScriptedRelay final : public Relay {
 public:
  /// What the next connects come to, errno or 0 for one that is under way; behind the last, all are under way.
  std::deque<int> connects;

  std::vector<std::string> dialled;  ///< the address of each connect
  std::vector<Session*> sessions;    ///< that are not freed, in the order of their coming
  int started = 0;
  int resets = 0;  ///< clients' sockets that were closed with a reset
  std::map<int, Guest*> guests;

  /// The owner hears that the connect of this session is done.
  void connected(Session& session) { owner().handleConnected(session); }
  void connectFailed(Session& session, int error) { owner().handleConnectFailed(session, error); }
  void abandoned(Session& session) { owner().handleAbandoned(session); }
  void parted(Session& session, bool spoke) { owner().handleParted(session, spoke); }
  void ended(Session& session, Ending ending) { owner().handleEnding(session, ending); }

  void attach() override {}
  void leave() noexcept override {}
  void detach() noexcept override {}
  void addGuest(int fd, std::uint32_t, Guest& guest, Wake) override { guests[fd] = &guest; }
  void removeGuest(int fd) noexcept override { guests.erase(fd); }
  void wait() noexcept override {}

  void setOption(int, int, int, int) noexcept override {}
  Connect connect(Session&, const Address& address) noexcept override {
    dialled.push_back(address.text());
    if (connects.empty()) return Connect::kConnecting;
    errno = connects.front();
    connects.pop_front();
    return errno == 0 ? Connect::kConnecting : Connect::kFailed;
  }
  void dropBackend(Session& session) noexcept override {
    close(session, Side::kBackend, false);
    session.backend = Endpoint{};
  }

  Session* take(Fd client) noexcept override {
    auto* session = new Session;
    session->client.fd = client.release();
    sessions.push_back(session);
    return session;
  }
  void start(Session&) noexcept override { ++started; }
  void deliver(Session&) noexcept override {}
  std::size_t pending(const Session&, Side) const noexcept override { return 0; }
  void close(Session& session, Side side, bool reset) noexcept override {
    Endpoint& endpoint = session.endpoint(side);
    if (endpoint.fd < 0) return;
    if (reset && side == Side::kClient) ++resets;
    ::close(std::exchange(endpoint.fd, -1));
  }
  bool forget(Session&) noexcept override { return true; }
  void free(Session& session) noexcept override {
    std::erase(sessions, &session);
    delete &session;
  }
};

}  // namespace lemonade::proxy
