// SPDX-License-Identifier: MIT
#include "balance/session_records.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace lemonade {
namespace {

struct Fixture {
  Fixture() { record.client = &client; }

  /// The sizes of the texts of all that is there, and what started them.
  std::vector<std::uint64_t> take() {
    std::vector<std::uint64_t> starts;
    lane.takeAll([&](const SessionRecord& one) { starts.push_back(one.numbers.started_ns); });
    return starts;
  }
  void put(std::uint64_t started) {
    record.numbers.started_ns = started;
    lane.put(record);
  }

  const Address client = *Address::parse("203.0.113.7:4711");
  const Address peer = *Address::parse("[2001:db8::1]:80");
  SessionRecord record;
  SessionRecordLane lane;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "SessionRecordLane hands over what was put, though its owner is gone", "[balance]") {
  {
    const std::string listener = "web", pool = "shop", backend = "web-1", name = "Web one", address = "10.0.0.1:80";
    const Address proxy = peer;
    record = {listener, pool, backend, name, address, &client, &proxy, {}};
    record.numbers.bytes_out = 1234;
    record.numbers.reason = 7;
    lane.put(record);
  }
  int seen = 0;
  lane.takeAll([&](const SessionRecord& one) {
    ++seen;
    CHECK(one.listener == "web");
    CHECK(one.pool == "shop");
    CHECK(one.backend == "web-1");
    CHECK(one.backend_name == "Web one");
    CHECK(one.backend_address == "10.0.0.1:80");
    CHECK(one.client->text() == "203.0.113.7:4711");
    REQUIRE(one.peer != nullptr);
    CHECK(one.peer->text() == "[2001:db8::1]:80");
    CHECK(one.numbers.bytes_out == 1234);
    CHECK(one.numbers.reason == 7);
  });
  CHECK(seen == 1);
  CHECK(take().empty());
}

TEST_CASE_METHOD(Fixture, "SessionRecordLane keeps records that have neither backend nor proxy", "[balance]") {
  put(5);
  lane.takeAll([&](const SessionRecord& one) {
    CHECK(one.backend.empty());
    CHECK(one.peer == nullptr);
  });
}

TEST_CASE_METHOD(Fixture, "SessionRecordLane keeps the names of Unix sockets", "[balance]") {
  const Address local = *Address::parse("unix:/run/a.sock"), hidden = *Address::parse("unix:@a");
  record.client = &local;
  record.peer = &hidden;
  put(1);
  lane.takeAll([&](const SessionRecord& one) {
    CHECK(one.client->text() == "unix:/run/a.sock");
    CHECK(one.peer->text() == "unix:@a");
  });
}

TEST_CASE_METHOD(Fixture, "SessionRecordLane drops and counts what does not fit, and has room again", "[balance]") {
  std::uint64_t put_in = 0;
  while (lane.dropped() == 0) put(put_in++);
  const auto taken = take();
  CHECK(taken.size() == put_in - 1);
  CHECK(taken.size() > 2'000);
  CHECK(taken.front() == 0);
  CHECK(taken.back() == put_in - 2);
  put(7);
  CHECK(take() == std::vector<std::uint64_t>{7});
  CHECK(lane.dropped() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionRecordLane hands over records of every size in order, all around the ring",
                 "[balance]") {
  std::uint64_t next = 0, expected = 0;
  while (next < 200'000) {
    for (int i = 0; i < 37; ++i) {
      const std::string text(next * 7919 % 1'500, static_cast<char>('a' + next % 26));
      record.listener = text;
      put(next++);
    }
    lane.takeAll([&](const SessionRecord& one) {
      const std::uint64_t at = expected++;
      REQUIRE(one.numbers.started_ns == at);
      REQUIRE(one.listener.size() == at * 7919 % 1'500);
      if (!one.listener.empty()) REQUIRE(one.listener.back() == static_cast<char>('a' + at % 26));
    });
  }
  CHECK(expected == next);
  CHECK(lane.dropped() == 0);
}

TEST_CASE_METHOD(Fixture, "SessionRecordLane loses nothing uncounted between its two threads", "[balance]") {
  constexpr std::uint64_t kMany = 300'000;
  std::atomic<bool> done{false};
  std::thread worker([&] {
    for (std::uint64_t i = 1; i <= kMany; ++i) put(i);
    done = true;
  });
  std::uint64_t taken = 0, last = 0;
  bool ordered = true;
  const auto note = [&](const SessionRecord& one) {
    ++taken;
    ordered = ordered && one.numbers.started_ns > last;
    last = one.numbers.started_ns;
  };
  while (!done) lane.takeAll(note);
  worker.join();
  lane.takeAll(note);
  CHECK(ordered);
  CHECK(taken + lane.dropped() == kMany);
}

}  // namespace lemonade
