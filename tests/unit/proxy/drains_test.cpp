// SPDX-License-Identifier: MIT
#include "proxy/drains.h"

#include "proxy/listener.h"

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using namespace lemonade;
using namespace lemonade::proxy;

namespace {

struct Fixture {
  Fixture() {
    for (const char* id : {"a", "b"}) {
      backends.push_back(std::make_unique<Backend>(
          config::Backend{.id = id, .name = id, .host = "127.0.0.1", .port = 80}, *Address::parse("127.0.0.1:80"), 1));
      backends.back()->setDraining(true);
    }
  }
  ~Fixture() { drains.clear(); }

  void sessionsAt(Backend& backend, int count) {
    while (count-- > 0) {
      sessions.push_back(std::make_unique<Session>());
      sessions.back()->target = &backend;
      sessions.back()->pool = &pool;
    }
  }
  DrainScope at(const Backend& backend) const { return {&pool, backend.identity(), nullptr}; }
  /// What the session set does when something is due; returns how many sessions had to end.
  int handle(std::uint64_t now) {
    while (Drain* drain = drains.begin(now))
      for (auto& session : sessions)
        if (drain->concerns(*session)) drains.join(*drain, *session);
    int ended = 0;
    while (const Served* session = drains.next(now)) {
      std::erase_if(sessions, [&](const auto& one) { return one.get() == session; });
      ++ended;
    }
    return ended;
  }

  Quiescence quiescence{1};
  Pool pool{"default", quiescence, 1};
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<std::unique_ptr<Session>> sessions;
  Drains drains;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "Drains end the sessions of a backend evenly and the last one at the end", "[proxy]") {
  sessionsAt(*backends[0], 4);
  sessionsAt(*backends[1], 3);
  drains.add(at(*backends[0]), {1000, 1400});
  CHECK(drains.nextDue() == 1000);
  CHECK(handle(999) == 0);
  CHECK(handle(1000) == 0);
  for (const std::uint64_t due : {1100, 1200, 1300, 1400}) {
    CHECK(drains.nextDue() == due);
    CHECK(handle(due - 1) == 0);
    CHECK(handle(due) == 1);
  }
  CHECK(drains.nextDue() == 0);
  CHECK(sessions.size() == 3);
}

TEST_CASE_METHOD(Fixture, "Drains share out the time again when a session ends by itself", "[proxy]") {
  sessionsAt(*backends[0], 3);
  drains.add(at(*backends[0]), {1000, 1600});
  CHECK(handle(1200) == 1);
  Drains::forget(*sessions.back());
  sessions.pop_back();
  CHECK(drains.nextDue() == 1600);
  CHECK(handle(1599) == 0);
  CHECK(handle(1600) == 1);
  CHECK(sessions.empty());
}

TEST_CASE_METHOD(Fixture, "Drains that are looked at late end at once what was due", "[proxy]") {
  sessionsAt(*backends[0], 10);
  drains.add(at(*backends[0]), {1000, 2000});
  CHECK(handle(1550) == 5);
  CHECK(handle(9999) == 5);
}

TEST_CASE_METHOD(Fixture, "Drains without time end every session at once", "[proxy]") {
  sessionsAt(*backends[0], 5);
  drains.add({}, {1000, 1000});
  CHECK(handle(1000) == 5);
}

TEST_CASE_METHOD(Fixture, "Drains spare the sessions of a backend that came back", "[proxy]") {
  sessionsAt(*backends[0], 4);
  drains.add(at(*backends[0]), {1000, 1400});
  SECTION("before the drain begins") {
    backends[0]->setDraining(false);
    CHECK(handle(1400) == 0);
    CHECK(sessions.size() == 4);
  }
  SECTION("while it is under way") {
    CHECK(handle(1200) == 2);
    backends[0]->setDraining(false);
    CHECK(handle(1400) == 0);
    CHECK(sessions.size() == 2);
  }
  CHECK(drains.nextDue() == 0);
}

TEST_CASE_METHOD(Fixture, "Drains count a backend that leaves again from its last leave", "[proxy]") {
  sessionsAt(*backends[0], 2);
  drains.add(at(*backends[0]), {1000, 1400});
  CHECK(handle(1200) == 1);
  drains.add(at(*backends[0]), {2000, 2400});
  CHECK(handle(1999) == 0);
  CHECK(drains.nextDue() == 2000);
  CHECK(handle(2400) == 1);
}

TEST_CASE_METHOD(Fixture, "Drains end a session that two of them concern with the earlier one", "[proxy]") {
  const bool backend_first = GENERATE(true, false);
  CAPTURE(backend_first);
  sessionsAt(*backends[0], 1);
  sessionsAt(*backends[1], 1);
  const DrainTime soon{1000, 1400}, late{1000, 5000};
  drains.add(at(*backends[0]), backend_first ? soon : late);
  drains.add({}, backend_first ? late : soon);
  CHECK(handle(1400) == (backend_first ? 1 : 2));
  CHECK(handle(5000) == (backend_first ? 1 : 0));
  CHECK(sessions.empty());
}

TEST_CASE_METHOD(Fixture, "Drains leave a session alone that has moved on to another backend", "[proxy]") {
  sessionsAt(*backends[0], 1);
  drains.add(at(*backends[0]), {1000, 1400});
  CHECK(handle(1000) == 0);
  sessions[0]->target = backends[1].get();
  CHECK(handle(1400) == 0);
}

TEST_CASE_METHOD(Fixture, "Drains end a session that an earlier one was to end and let go", "[proxy]") {
  sessionsAt(*backends[0], 2);
  const DrainScope backend = at(*backends[0]);
  SECTION("as it was removed") {
    drains.add({}, {1000, 2000});
    drains.add(backend, {1100, 2100});
    CHECK(handle(1200) == 0);
    drains.remove({});
    CHECK(drains.nextDue() <= 1200);
    CHECK(handle(1300) == 0);
    CHECK(handle(1700) == 1);
    CHECK(handle(2100) == 1);
  }
  SECTION("as its backend came back") {
    drains.add(backend, {1000, 2000});
    drains.add({}, {1100, 2200});
    CHECK(handle(1200) == 0);
    backends[0]->setDraining(false);
    CHECK(handle(2000) == 0);
    CHECK(drains.nextDue() <= 2000);
    CHECK(handle(2001) == 0);
    CHECK(handle(2200) == 2);
  }
  CHECK(drains.nextDue() == 0);
}

TEST_CASE_METHOD(Fixture, "Drains leave sessions of another pool alone whose backend has the same identity",
                 "[proxy]") {
  Pool other("other", quiescence, 1);
  sessionsAt(*backends[0], 2);
  sessions.back()->pool = &other;
  drains.add(at(*backends[0]), {1000, 1400});
  CHECK(handle(1400) == 1);
  REQUIRE(sessions.size() == 1);
  CHECK(sessions.front()->pool == &other);
}

TEST_CASE_METHOD(Fixture, "Drains end the sessions of a listener that was removed, and of no other", "[proxy]") {
  const ListenerSpec spec{std::make_shared<const config::Listener>(), {}, {}, &pool};
  Listener removed(spec, 1, [](std::uint32_t) {}), other(spec, 1, [](std::uint32_t) {});
  sessionsAt(*backends[0], 4);
  for (std::size_t i = 0; i < sessions.size(); ++i) sessions[i]->listener = i % 2 == 0 ? &removed : &other;
  drains.add({nullptr, 0, &removed}, {1000, 1400});
  SECTION("it was removed") {
    removed.setRemoved();
    CHECK(handle(1400) == 2);
    for (const auto& session : sessions) CHECK(session->listener == &other);
  }
  SECTION("one that was made later has the same address") { CHECK(handle(1400) == 0); }
}
