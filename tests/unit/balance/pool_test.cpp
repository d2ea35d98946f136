// SPDX-License-Identifier: MIT
//
// The pool with strategies made from tables in this process: no shared object is needed.
#include "balance/pool.h"

#include "balance/feedback.h"
#include "unit/balance/scripted_pool.h"

#include <catch2/catch.hpp>

#include <functional>
#include <string>

using namespace lemonade;

using Fixture = ScriptedPool;

TEST_CASE_METHOD(Fixture, "Pool::pick takes a place at the backend that the strategy chose", "[balance]") {
  const auto picked = pick();
  REQUIRE(picked.what == Picked::What::kBackend);
  CHECK(picked.backend->id() == "a");
  CHECK(picked.cookie == 42);
  CHECK(picked.generation == 7);
  CHECK(picked.backend->active() == 1);
  pool.release(*picked.backend);
  CHECK(picked.backend->active() == 0);
}

TEST_CASE_METHOD(Fixture, "Pool::pick shows only backends that may take connections", "[balance]") {
  (void)backends[0]->setHealth(false, "test");
  backends[1]->setDraining(true);
  pool.publish();
  CHECK(pool.eligibleCount() == 1);
  CHECK(pick().backend->id() == "c");
}

TEST_CASE_METHOD(Fixture, "Pool::pick finds none where no backend is eligible", "[balance]") {
  for (auto& backend : backends) (void)backend->setHealth(false, "test");
  pool.publish();
  CHECK(pick().what == Picked::What::kNone);
}

TEST_CASE_METHOD(Fixture, "Pool::pick answers itself where the strategy's answer cannot be used", "[balance]") {
  const std::uint32_t bad = GENERATE(3u, 1000u, 0xfffffff0u);
  scripted.pick = [bad](const auto&, const auto&, const void*) { return bad; };
  const auto picked = pick();
  CHECK(picked.what == Picked::What::kBackend);
  CHECK(picked.invalid);
  CHECK(picked.generation == 0);
  CHECK(picked.cookie == 0);
}

TEST_CASE_METHOD(Fixture, "Pool::pick never gives a connection a backend it has tried", "[balance]") {
  Tried tried;
  tried.add(*backends[0]);
  const auto picked = pick(tried);  // the strategy insists on the first
  CHECK(picked.invalid);
  CHECK(picked.backend != backends[0].get());
  tried.add(*backends[1]);
  tried.add(*backends[2]);
  CHECK(pick(tried).what == Picked::What::kNone);
}

TEST_CASE_METHOD(Fixture, "Pool::pick tells the strategy which backends were tried", "[balance]") {
  std::vector<std::uint32_t> seen;
  scripted.pick = [&](const auto& connection, const auto&, const void*) {
    seen.assign(connection.tried, connection.tried + connection.tried_count);
    return std::uint32_t{2};
  };
  Tried tried;
  tried.add(*backends[1]);
  CHECK(pick(tried).backend == backends[2].get());
  CHECK(seen == std::vector<std::uint32_t>{1});
}

TEST_CASE_METHOD(Fixture, "Pool::pick goes on to another backend when one is full", "[balance]") {
  backends[0]->apply({.id = "a", .name = "a", .host = "127.0.0.1", .port = 80, .max_connections = 1});
  pool.publish();
  scripted.pick = [](const auto& connection, const auto&, const void*) { return connection.tried_count; };
  CHECK(pick().backend == backends[0].get());
  CHECK(pick().backend == backends[1].get());
  CHECK(backends[0]->active() == 1);
}

TEST_CASE_METHOD(Fixture, "Pool::pick asks the next tier where one has nobody for the connection", "[balance]") {
  auto standby = backends[2]->settings();
  standby.priority = 1;
  backends[2]->apply(standby);
  pool.publish();
  std::vector<std::uint32_t> shown;
  scripted.pick = [&](const auto& connection, const auto& view, const void*) {
    shown.push_back(view.eligible_count);
    for (std::uint32_t i = 0; i < view.eligible_count; ++i)
      if (lemonade_may_pick(&connection, &view, view.eligible[i])) return view.eligible[i];
    return LEMONADE_PICK_NONE;
  };
  CHECK(pool.eligibleCount() == 3);
  CHECK(pick().backend == backends[0].get());
  Tried tried;
  tried.add(*backends[0]);
  tried.add(*backends[1]);
  CHECK(pick(tried).backend == backends[2].get());
  CHECK(shown == std::vector<std::uint32_t>{2, 2, 1});
  (void)backends[0]->setHealth(false, "test");
  (void)backends[1]->setHealth(false, "test");
  pool.publish();
  CHECK(pick().backend == backends[2].get());
}

TEST_CASE_METHOD(Fixture, "Pool::pick says where a backend is full that would do", "[balance]") {
  scripted.pick = [](const auto& connection, const auto& view, const void*) {
    for (std::uint32_t i = 0; i < view.eligible_count; ++i)
      if (lemonade_may_pick(&connection, &view, view.eligible[i])) return view.eligible[i];
    return LEMONADE_PICK_NONE;
  };
  for (const auto& backend : backends)
    backend->apply({.id = backend->id(), .name = backend->id(), .host = "127.0.0.1", .port = 80, .max_connections = 1});
  pool.publish();
  for (int i = 0; i < 3; ++i) CHECK(pick().what == Picked::What::kBackend);
  CHECK(pick().what == Picked::What::kNone);
  CHECK(pick().full);
  Tried tried;
  for (const auto& backend : backends) tried.add(*backend);
  CHECK_FALSE(pick(tried).full);
}

TEST_CASE_METHOD(Fixture, "Pool tells who waits when a place becomes free", "[balance]") {
  int told = 0;
  pool.onPlaceOffered([&](std::uint32_t worker, PoolAtWorker& at) {
    CHECK(worker == 0);
    CHECK(at.place_offered.exchange(0) == 5);
    ++told;
  });
  pool.at(0).queued_since = 5;
  backends[0]->apply({.id = "a", .name = "a", .host = "127.0.0.1", .port = 80, .max_connections = 1});
  pool.publish();
  pool.release(*pick().backend);
  CHECK(told == 0);
  const auto held = pick();
  pool.startQueueing();
  pool.release(*held.backend);
  CHECK(told == 1);
  pool.stopQueueing();
  pool.release(*pick().backend);
  CHECK(told == 1);
}

TEST_CASE_METHOD(Fixture, "Pool::hasPlace tells whether a backend with a limit is below it", "[balance]") {
  for (const auto& backend : backends)
    backend->apply({.id = backend->id(), .name = backend->id(), .host = "127.0.0.1", .port = 80, .max_connections = 1});
  pool.publish();
  CHECK(pool.hasPlace());
  const auto held = pick();
  for (std::size_t i = 1; i < backends.size(); ++i) (void)pick();
  CHECK_FALSE(pool.hasPlace());
  pool.release(*held.backend);
  CHECK(pool.hasPlace());
}

TEST_CASE_METHOD(Fixture, "Pool offers a place to the worker whose session waits longest, and on to those behind it",
                 "[balance]") {
  REQUIRE(pool.addWorkers(3));
  std::vector<std::uint32_t> offered;
  pool.onPlaceOffered([&](std::uint32_t worker, PoolAtWorker&) { offered.push_back(worker); });
  pool.at(0).queued_since = 30;
  pool.at(1).queued_since = 10;
  pool.at(2).queued_since = 20;
  pool.offerPlace(0);
  pool.offerPlace(0);  // the first has not looked yet
  pool.offerPlace(20);
  CHECK(offered == std::vector<std::uint32_t>{1, 2, 0});
  CHECK(pool.at(1).place_offered == 10);
  pool.offerPlace(30);
  CHECK(offered.size() == 3);
}

TEST_CASE_METHOD(Fixture, "Pool offers nothing to a worker that waits for another pool", "[balance]") {
  Pool other_pool("other", quiescence, 1);
  other_pool.onPlaceOffered([](std::uint32_t, PoolAtWorker&) { FAIL("nobody waits there"); });
  pool.at(0).queued_since = 5;
  other_pool.offerPlace(0);
  CHECK(pool.at(0).place_offered == 0);
}

TEST_CASE_METHOD(Fixture, "A pool is unused once its last session has ended and each worker has moved on since",
                 "[balance]") {
  quiescence.setOnline(0);
  pool.at(0).counters.sessions.add();
  CHECK_FALSE(pool.isUnused());
  pool.leave();
  (void)quiescence.reclaim();
  CHECK_FALSE(pool.isUnused());
  const auto moveOn = [&] {
    quiescence.announce(0);
    (void)quiescence.reclaim();
  };
  moveOn();
  CHECK_FALSE(pool.isUnused());  // there is a session
  pool.at(0).counters.sessions.subtract();
  pool.at(0).place_offered = 7;
  CHECK_FALSE(pool.isUnused());  // the worker will look at the pool
  pool.at(0).place_offered = 0;
  CHECK_FALSE(pool.isUnused());  // it may still be in the turn in which the session ended
  moveOn();
  CHECK(pool.isUnused());
}

TEST_CASE_METHOD(Fixture, "Pool raises a suspicion once until control takes it", "[balance]") {
  int raised = 0;
  pool.onSuspicion([&] { ++raised; });
  pool.setSuspicious(2);
  const auto fail = [&] {
    feedback::failed(*backends[0], 1);
    pool.noteFailure(*backends[0]);
  };
  fail();
  CHECK(raised == 0);
  fail();
  fail();
  CHECK(raised == 1);
  CHECK(backends[0]->takeSuspicion());
  fail();
  CHECK(raised == 2);
}

TEST_CASE_METHOD(Fixture, "Pool shows less weight while a backend that recovered starts slowly", "[balance]") {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  std::uint32_t weight = 0;
  scripted.pick = [&](const auto&, const auto& view, const void*) {
    weight = view.backends[0].effective_weight;
    return std::uint32_t{0};
  };
  pool.setRules({0, {std::chrono::seconds(10), 1}});
  (void)backends[0]->setHealth(false, "test");
  CHECK_FALSE(pool.publish(kSecond));
  (void)backends[0]->setHealth(true, "test");
  CHECK(pool.publish(2 * kSecond));
  (void)pick();
  CHECK(weight == 100);
  CHECK(pool.publish(7 * kSecond));
  (void)pick();
  CHECK(weight == 500);
  CHECK_FALSE(pool.publish(12 * kSecond));
  (void)pick();
  CHECK(weight == 1000);
}

TEST_CASE_METHOD(Fixture, "Pool::pick passes on that the strategy rejects a client", "[balance]") {
  scripted.pick = [](const auto&, const auto&, const void*) { return LEMONADE_PICK_REJECT; };
  CHECK(pick().what == Picked::What::kRejected);
}

TEST_CASE_METHOD(Fixture, "Pool::pick hands over what was prepared for the very view", "[balance]") {
  bool same = false;
  scripted.pick = [&](const auto&, const auto& view, const void* prepared) {
    same = prepared == &view;
    return std::uint32_t{0};
  };
  (void)pick();
  CHECK(same);
}

TEST_CASE_METHOD(Fixture, "Pool publishes without a prepared object where prepare fails", "[balance]") {
  scripted.refuse_prepare = true;
  pool.publish();
  bool none = false;
  scripted.pick = [&](const auto&, const auto&, const void* prepared) {
    none = prepared == nullptr;
    return std::uint32_t{0};
  };
  CHECK(pick().what == Picked::What::kBackend);
  CHECK(none);
}

TEST_CASE_METHOD(Fixture, "Pool releases what was prepared once the workers have moved on", "[balance]") {
  quiescence.setOnline(0);
  pool.publish();
  CHECK(reclaim() == 1);
  CHECK(scripted.released == 0);
  quiescence.announce(0);
  CHECK(reclaim() == 0);
  CHECK(scripted.released == 1);
}

TEST_CASE_METHOD(Fixture, "Pool destroys a replaced strategy with its lanes", "[balance]") {
  other.pick = [](const auto&, const auto&, const void*) { return std::uint32_t{1}; };
  use(other, 8);
  pool.publish();
  (void)reclaim();
  CHECK(scripted.lanes == 0);
  CHECK(scripted.destroyed);
  CHECK(pick().generation == 8);
}

TEST_CASE_METHOD(Fixture, "Pool marks events of picks by an earlier generation as foreign", "[balance]") {
  lemonade_strategy_event_t event{};
  event.type = LEMONADE_EVENT_CLOSED;
  pool.tell(0, event, 7);
  pool.tell(0, event, 6);
  event.type = LEMONADE_EVENT_CONNECTED;  // not asked for
  pool.tell(0, event, 7);
  REQUIRE(scripted.events.size() == 2);
  CHECK(scripted.events[0].foreign == 0);
  CHECK(scripted.events[1].foreign == 1);
}

TEST_CASE_METHOD(Fixture, "Pool keeps a backend that left until its last session ended", "[balance]") {
  const auto picked = pick();
  const std::weak_ptr<Backend> watched = backends[0];
  backends.erase(backends.begin());
  pool.setBackends(backends);
  pool.publish();
  CHECK(reclaim() == 1);
  CHECK_FALSE(watched.expired());
  CHECK(picked.backend->draining());
  pool.release(*picked.backend);
  CHECK(reclaim() == 0);
  CHECK(watched.expired());
}

TEST_CASE_METHOD(Fixture, "Pool::addWorkers makes lanes and counters for the new ones", "[balance]") {
  const auto leaving = backends[0];
  const auto picked = pick();
  backends.erase(backends.begin());
  (void)pool.setBackends(backends);
  REQUIRE(pool.addWorkers(3));
  CHECK(pool.workers() == 3);
  CHECK(scripted.lanes == 3);
  CHECK(backends[0]->workers() == 3);
  CHECK(leaving->workers() == 3);
  CHECK(pool.counters().size() == 3);
  REQUIRE(pool.addWorkers(2));
  CHECK(pool.workers() == 3);
  pool.release(*picked.backend);
}

TEST_CASE_METHOD(Fixture, "Pool::addWorkers changes nothing where the strategy makes no lane", "[balance]") {
  scripted.most_lanes = 2;
  CHECK_FALSE(pool.addWorkers(3));
  CHECK(pool.workers() == 1);
  CHECK(scripted.lanes == 1);
  CHECK(backends[0]->workers() == 1);
}

TEST_CASE_METHOD(Fixture, "Pool::setBackends tells which backends left and takes one back that drains", "[balance]") {
  const auto picked = pick();
  const auto all = backends;
  backends.erase(backends.begin());
  CHECK(pool.setBackends(backends) == View::Backends{all[0]});
  pool.publish();
  CHECK(pool.eligibleCount() == 2);
  CHECK(pool.setBackends(all).empty());
  pool.publish();
  CHECK_FALSE(all[0]->draining());
  CHECK(pool.eligibleCount() == 3);
  CHECK(pick().backend == picked.backend);
  CHECK(reclaim() == 0);
}
