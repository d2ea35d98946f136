// SPDX-License-Identifier: MIT
//
// Clients that have to send a PROXY header first: what the reader makes of what they send, and when it gives up.
#include "proxy/header_reader.h"

#include "balance/proxy_header.h"
#include "unit/proxy/one_worker.h"

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::proxy {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kHeader = "PROXY TCP4 203.0.113.7 198.51.100.7 4711 443\r\n";

struct Fixture : OneWorker {
  Fixture() {
    backends({kA});
    config.accept_proxy = config::AcceptProxy::kBoth;
    config.trusted = {config::Network::parse("10.0.0.0/8").value()};
    config.header_timeout = 5s;
    listener = makeListener(config);
  }

  /// The listener reads such headers from now on.
  void accept(config::AcceptProxy which) {
    config.accept_proxy = which;
    listener->apply(specOf(config));
  }
  /// A client that was accepted from there and has sent this so far.
  void come(std::string_view sent = {}, const char* from = "10.1.2.3:5555") {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    client = Fd(pair[1]);
    if (!sent.empty()) send(sent);
    REQUIRE(listener->admission().enter());
    reader.take(Fd(pair[0]), *Address::parse(from), 80, *listener);
  }
  void send(std::string_view bytes) {
    REQUIRE(::send(client.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }
  /// It sends more, and the loop tells that.
  void say(std::string_view bytes) {
    send(bytes);
    REQUIRE(relay.guests.size() == 1);
    relay.guests.begin()->second->handleReady(POLLIN);
  }
  void pass(Duration time) {
    clock.advance(time);
    reader.handleDue(now());
  }
  /// It is no session, was closed, and counts nowhere any more.
  bool isRefused() {
    return count() == 0 && isClosed(client.get()) && listener->admission().taken() == 0 &&
           mailbox.counters.sessions.value() == 0 && relay.guests.empty() && reader.nextDue() == 0;
  }
  std::string clientOf(const Session& session) { return session.client_address.text(); }

  config::Listener config;
  Fd client;
  HeaderReader reader{0, set, relay, mailbox, clock};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "HeaderReader makes a session with the addresses of the header, and leaves what is behind it",
                 "[proxy]") {
  const auto version = GENERATE(ProxyVersion::kV1, ProxyVersion::kV2);
  const auto header =
      writeProxyHeader(version, {*Address::parse("203.0.113.7:4711"), *Address::parse("198.51.100.7:443")});
  come(std::string(header.view()) + "GET /");
  REQUIRE(count() == 1);
  Session& session = *relay.sessions[0];
  CHECK(clientOf(session) == "203.0.113.7:4711");
  CHECK(session.local_port == 443);
  REQUIRE(session.destination != nullptr);
  CHECK(session.destination->text() == "198.51.100.7:443");
  char bytes[16];
  const ssize_t came = ::recv(session.client.fd, bytes, sizeof(bytes), MSG_PEEK);
  REQUIRE(came == 5);
  CHECK(std::string_view(bytes, 5) == "GET /");
  CHECK(mailbox.counters.sessions.value() == 1);
}

TEST_CASE_METHOD(Fixture, "HeaderReader waits for a header that comes byte by byte", "[proxy]") {
  come();
  CHECK(listener->admission().taken() == 1);
  CHECK(mailbox.counters.sessions.value() == 1);  // nobody takes the worker for idle
  for (const char byte : kHeader) {
    CHECK(count() == 0);
    say(std::string_view(&byte, 1));
  }
  REQUIRE(count() == 1);
  CHECK(clientOf(*relay.sessions[0]) == "203.0.113.7:4711");
  CHECK(relay.guests.empty());
  CHECK(reader.nextDue() == 0);
}

TEST_CASE_METHOD(Fixture, "HeaderReader ends a client whose header is not complete in time, however it trickles in",
                 "[proxy]") {
  come(kHeader.substr(0, 10));
  CHECK(reader.nextDue() == now() + 5'000'000'000);
  pass(4s);
  say(kHeader.substr(10, 10));
  CHECK(reader.nextDue() == now() + 1'000'000'000);
  pass(1s - 1ns);
  CHECK(listener->admission().taken() == 1);
  pass(1ns);
  CHECK(isRefused());
  CHECK(listenerCounters().header_timeouts.value() == 1);
}

TEST_CASE_METHOD(Fixture, "HeaderReader ends those first whose time is over first, whoever came first", "[proxy]") {
  come();
  const Fd patient = std::move(client);
  const auto before = listener;
  config.header_timeout = 2s;
  listener = makeListener(config);
  come();
  CHECK(reader.nextDue() == now() + 2'000'000'000);
  pass(2s);
  CHECK(isClosed(client.get()));
  CHECK_FALSE(isClosed(patient.get()));
  CHECK(reader.nextDue() == now() + 3'000'000'000);
  pass(3s);
  CHECK(isClosed(patient.get()));
  CHECK(isRefused());
}

TEST_CASE_METHOD(Fixture, "HeaderReader ends a client as soon as what it sends is no header", "[proxy]") {
  SECTION("from the first bytes") { come("GET / HTTP/1.1\r\n"); }
  SECTION("in the middle") {
    come("PROXY TCP4 ");
    say("not-an-address 198.51.100.7 1 2\r\n");
  }
  SECTION("of a version that is not accepted") {
    accept(config::AcceptProxy::kV2);
    come(kHeader);
  }
  CHECK(isRefused());
  CHECK(listenerCounters().header_malformed.value() == 1);
}

TEST_CASE_METHOD(Fixture, "HeaderReader ends a client that is not trusted, whatever it sends", "[proxy]") {
  come(kHeader, "192.0.2.9:5555");
  CHECK(isRefused());
  CHECK(listenerCounters().header_untrusted.value() == 1);
}

TEST_CASE_METHOD(Fixture, "HeaderReader counts a client that closes without a header apart", "[proxy]") {
  come();
  REQUIRE(::shutdown(client.get(), SHUT_WR) == 0);
  relay.guests.begin()->second->handleReady(POLLIN);
  CHECK(isRefused());
  CHECK(listenerCounters().header_closed.value() == 1);
  CHECK(listenerCounters().header_malformed.value() == 0);
}

TEST_CASE_METHOD(Fixture, "HeaderReader takes the peer for the client where the header names none", "[proxy]") {
  come(writeLocalProxyHeader(ProxyVersion::kV2, {}).view());
  REQUIRE(count() == 1);
  CHECK(clientOf(*relay.sessions[0]) == "10.1.2.3:5555");
  CHECK(relay.sessions[0]->local_port == 80);
  CHECK(relay.sessions[0]->destination == nullptr);
}

TEST_CASE_METHOD(Fixture, "HeaderReader goes by the rules that there were when the client came", "[proxy]") {
  come("PROXY ");
  accept(config::AcceptProxy::kOff);
  say(kHeader.substr(6));
  REQUIRE(count() == 1);
  CHECK(clientOf(*relay.sessions[0]) == "203.0.113.7:4711");
  come("no header any more");
  REQUIRE(count() == 2);
  CHECK(clientOf(*relay.sessions[1]) == "10.1.2.3:5555");
}

TEST_CASE_METHOD(Fixture, "HeaderReader closes all clients that it reads from", "[proxy]") {
  come("PROXY ");
  reader.closeAll();
  CHECK(isRefused());
}

TEST_CASE_METHOD(Fixture, "HeaderReader leaves a record of each client that it refuses", "[proxy][records]") {
  mailbox.records.want(true);
  std::string seen;
  const auto note = [&](const SessionRecord& record) {
    seen += std::string(lemonade_end_text(record.numbers.reason).data) + " " + record.client->text() + " " +
            std::string(record.listener) + " " + std::to_string(record.numbers.duration_ns / 1'000'000'000) + "\n";
    CHECK(record.pool.empty());
  };
  come(kHeader, "192.0.2.9:5555");
  come("GET / HTTP/1.1\r\n");
  come("PROXY ");
  pass(5s);
  come("PROXY ");
  reader.closeAll();
  mailbox.records.takeAll(note);
  CHECK(seen ==
        "header-untrusted 192.0.2.9:5555 default 0\n"
        "header-malformed 10.1.2.3:5555 default 0\n"
        "header-timeout 10.1.2.3:5555 default 5\n"
        "drain 10.1.2.3:5555 default 0\n");
}

TEST_CASE_METHOD(Fixture, "HeaderReader tells a session who sent its header, where somebody wants to know",
                 "[proxy][records]") {
  come(kHeader);
  REQUIRE(count() == 1);
  CHECK(relay.sessions[0]->peer == nullptr);
  mailbox.records.want(true);
  come(kHeader);
  REQUIRE(count() == 2);
  REQUIRE(relay.sessions[1]->peer != nullptr);
  CHECK(relay.sessions[1]->peer->text() == "10.1.2.3:5555");
}

}  // namespace lemonade::proxy
