// SPDX-License-Identifier: MIT
//
// What a session leaves in the lane of its worker when it ends, and that it leaves nothing where nobody wants it.
#include "proxy/recording.h"

#include "unit/proxy/one_worker.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

namespace lemonade::proxy {
namespace {

using namespace std::chrono_literals;

/// A record, with texts of its own.
struct Kept {
  std::string listener, pool, backend, name, address, client, peer;
  SessionRecord::Numbers numbers;
  std::string reason() const { return lemonade_end_text(numbers.reason).data; }
};

struct Fixture : OneWorker {
  Fixture() { mailbox.records.want(true); }

  Session* client(const Address& destination = {}, const Address& proxy = {}) {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    peers.emplace_back(pair[1]);
    REQUIRE(listener->admission().enter());
    const std::size_t before = relay.sessions.size();
    set.add(Fd(pair[0]), *Address::parse("192.0.2.1:1234"), 80, *listener, destination, proxy);
    return relay.sessions.size() > before ? relay.sessions.back() : nullptr;
  }
  std::vector<Kept> records() {
    std::vector<Kept> all;
    mailbox.records.takeAll([&](const SessionRecord& one) {
      all.push_back({std::string(one.listener), std::string(one.pool), std::string(one.backend),
                     std::string(one.backend_name), std::string(one.backend_address), one.client->text(),
                     one.peer != nullptr ? one.peer->text() : "", one.numbers});
    });
    return all;
  }
  Kept only() {
    const auto all = records();
    REQUIRE(all.size() == 1);
    return all[0];
  }

  std::vector<Fd> peers;
};

constexpr std::uint64_t kMilli = 1'000'000;

}  // namespace

TEST_CASE_METHOD(Fixture, "A session that was served leaves who took part, how long it took and how it ended",
                 "[proxy][records]") {
  backends({kA});
  clock.advance(1s);
  const std::uint64_t accepted = now();
  Session* const session = client();
  REQUIRE(session != nullptr);
  clock.advance(3ms);
  set.handleTurn();
  relay.connected(*session);
  clock.advance(200ms);
  set.handleTurn();
  set.handleEnding(*session, Ending::kDone);
  const auto record = only();
  CHECK(record.listener == "default");
  CHECK(record.pool == "default");
  CHECK(record.backend == kA);
  CHECK(record.name == kA);
  CHECK(record.address == kA);
  CHECK(record.client == "192.0.2.1:1234");
  CHECK(record.peer.empty());
  CHECK(record.reason() == "done");
  CHECK(record.numbers.flags == LEMONADE_RECORD_IN_ACKNOWLEDGED);
  CHECK(record.numbers.backend_identity == backend->identity());
  CHECK(record.numbers.attempts == 1);
  CHECK(record.numbers.started_ns == accepted);
  CHECK(record.numbers.connect_ns == 3 * kMilli);
  CHECK(record.numbers.duration_ns == 203 * kMilli);
  CHECK(record.numbers.queue_ns == 0);
  CHECK(record.numbers.first_byte_ns == 0);
}

TEST_CASE_METHOD(Fixture, "A session that nobody wants to know of leaves nothing", "[proxy][records]") {
  mailbox.records.want(false);
  backends({kA});
  Session* const session = client(*Address::parse("198.51.100.7:443"), *Address::parse("10.0.0.9:1"));
  REQUIRE(session != nullptr);
  CHECK(session->peer == nullptr);
  relay.connected(*session);
  set.handleEnding(*session, Ending::kDone);
  CHECK(records().empty());
}

TEST_CASE_METHOD(Fixture, "A client for which there is no backend leaves a record without one", "[proxy][records]") {
  backends({});
  (void)client();
  const auto record = only();
  CHECK(record.reason() == "no-backend");
  CHECK(record.backend.empty());
  CHECK(record.numbers.backend_identity == 0);
  CHECK(record.numbers.attempts == 0);
}

TEST_CASE_METHOD(Fixture, "A client that waits for a place in vain leaves the time that it waited",
                 "[proxy][records]") {
  backends({kA}, 1);
  pool.settings().queue_timeout_ns = 100 * kMilli;
  Session* const first = client();
  REQUIRE(first != nullptr);
  relay.connected(*first);
  (void)client();
  pass(150ms);
  const auto record = only();
  CHECK(record.reason() == "queue-timeout");
  CHECK(record.numbers.queue_ns == 150 * kMilli);
  CHECK(record.numbers.attempts == 0);
}

TEST_CASE_METHOD(Fixture, "A client of a proxy leaves the proxy, too", "[proxy][records]") {
  backends({kA});
  Session* const session = client(*Address::parse("198.51.100.7:443"), *Address::parse("10.0.0.9:1"));
  REQUIRE(session != nullptr);
  relay.connected(*session);
  set.handleEnding(*session, Ending::kClientReset);
  set.closeAll(CloseReason::kDrain);
  const auto record = only();
  CHECK(record.client == "192.0.2.1:1234");
  CHECK(record.peer == "10.0.0.9:1");
}

TEST_CASE_METHOD(Fixture, "Bytes and exchanges of a session are in its record", "[proxy][records]") {
  backends({kA});
  Session* const session = client();
  REQUIRE(session != nullptr);
  relay.connected(*session);
  meter.bytesIn(*session, 10);
  meter.bytesOut(*session, 100);
  meter.bytesIn(*session, 5);
  set.handleEnding(*session, Ending::kBackendReset);
  set.closeAll(CloseReason::kDrain);
  const auto record = only();
  CHECK(record.numbers.bytes_in == 15);
  CHECK(record.numbers.bytes_out == 100);
  CHECK(record.numbers.exchanges == 1);
  CHECK(record.numbers.flags == (LEMONADE_RECORD_UNANSWERED | LEMONADE_RECORD_IN_ACKNOWLEDGED));
}

}  // namespace lemonade::proxy
