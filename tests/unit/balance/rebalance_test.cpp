// SPDX-License-Identifier: MIT
//
// Which backends close how many sessions, and when that ends: a pool in numbers, whose clients come again where the
// test says.
#include "balance/rebalance.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

namespace lemonade {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Pool {
  /// Where a client that comes now is sent: an index.
  using Strategy = std::function<std::size_t(const Pool&)>;

  /// So many sessions at each of these backends, whose weights are alike.
  explicit Pool(const std::vector<std::uint32_t>& sessions) {
    for (const auto count : sessions)
      backends.push_back({.identity = backends.size() + 1, .weight = 1'000, .sessions = count, .connects = count});
  }

  /// Half a second passes.
  std::vector<Rebalance::Order> look() {
    now += kSecond / 2;
    auto orders = rebalance.look(now, backends, closed);
    most_at_once = std::max(most_at_once, std::accumulate(orders.begin(), orders.end(), 0U,
                                                          [](auto sum, auto& one) { return sum + one.sessions; }));
    for (const auto& order : orders)
      for (std::uint32_t i = 0; i < order.sessions; ++i) close(order.identity - 1);
    return orders;
  }
  void close(std::size_t index) {
    REQUIRE(backends[index].sessions > 0);
    --backends[index].sessions;
    ++closed;
    if (returns) connect();
  }
  void connect() {
    auto& chosen = backends[strategy(*this)];
    ++chosen.sessions;
    ++chosen.connects;
  }
  void passSeconds(int seconds, int clients_each = 0) {
    for (int i = 0; i < 2 * seconds; ++i) {
      for (int client = 0; client < clients_each; ++client) {
        if (i % 2 == 0) continue;
        const auto leaves = static_cast<std::size_t>(client) % backends.size();
        if (backends[leaves].sessions > 0) --backends[leaves].sessions;
        connect();
      }
      (void)look();
    }
  }
  std::vector<std::uint32_t> sessions() const {
    std::vector<std::uint32_t> all;
    for (const auto& one : backends) all.push_back(one.sessions);
    return all;
  }
  std::uint32_t spread() const {
    const auto all = sessions();
    return *std::max_element(all.begin(), all.end()) - *std::min_element(all.begin(), all.end());
  }

  static std::size_t fewest(const Pool& pool) {
    const auto has_room = [](const BackendShare& one) { return one.weight > 0; };
    std::size_t best = 0;
    for (std::size_t i = 0; i < pool.backends.size(); ++i)
      if (has_room(pool.backends[i]) && (!has_room(pool.backends[best]) || pool.load(i) < pool.load(best))) best = i;
    return best;
  }
  double load(std::size_t i) const { return backends[i].sessions / std::max(backends[i].weight, 1.0); }
  static std::size_t inTurn(const Pool& pool) { return pool.turn++ % pool.backends.size(); }
  static Strategy always(std::size_t index) {
    return [index](const Pool&) { return index; };
  }

  Rebalance rebalance;
  std::vector<BackendShare> backends;
  Strategy strategy = inTurn;
  bool returns = true;  ///< clients whose sessions are closed come again
  std::uint64_t closed = 0;
  std::uint32_t most_at_once = 0;
  std::uint64_t now = kSecond;
  mutable std::size_t turn = 0;
};

}  // namespace

TEST_CASE("Rebalance evens out a pool within half a minute, whatever its size", "[balance]") {
  const auto total = GENERATE(6U, 20U, 50U, 400U, 1'000U);
  const bool by_turns = GENERATE(true, false);
  CAPTURE(total, by_turns);
  Pool pool({total, 0});
  pool.strategy = by_turns ? Pool::inTurn : Pool::fewest;
  pool.passSeconds(30);
  CHECK(pool.rebalance.state() == Rebalance::State::kEven);
  CHECK(pool.spread() <= std::max(2U, total / 8));
  CHECK(pool.most_at_once <= std::max(1U, total / 16));
  const auto closed = pool.closed;
  pool.passSeconds(600);
  CHECK(pool.closed == closed);
}

TEST_CASE("Rebalance closes only so many sessions at once", "[balance]") {
  Pool pool({100'000, 0, 0});
  pool.passSeconds(60);
  CHECK(pool.most_at_once == Rebalance::kMostAtOnce);
  CHECK(pool.rebalance.state() == Rebalance::State::kMoving);
}

TEST_CASE("Rebalance leaves a pool alone that is nearly even", "[balance]") {
  Pool pool({52, 48, 61, 45});
  pool.passSeconds(60);
  CHECK(pool.closed == 0);
}

TEST_CASE("Rebalance fills a backend that joins many", "[balance]") {
  std::vector<std::uint32_t> sessions(50, 100);
  sessions.push_back(0);
  Pool pool(sessions);
  pool.strategy = Pool::fewest;
  pool.passSeconds(30);
  CHECK(pool.backends.back().sessions >= 85);
  CHECK(pool.closed <= 120);
}

TEST_CASE("Rebalance goes by weights as they are at the moment", "[balance]") {
  Pool pool({40, 0});
  pool.strategy = Pool::fewest;
  pool.backends[1].weight = 100;  // of a slow start
  pool.passSeconds(30);
  CHECK(pool.backends[1].sessions <= 5);
  pool.backends[1].weight = 1'000;
  pool.passSeconds(30);
  CHECK(pool.spread() <= 4);
}

TEST_CASE("Rebalance waits until it has been the same backends for two seconds", "[balance]") {
  Pool pool({40, 0});
  for (int i = 0; i < 4; ++i) CHECK(pool.look().empty());
  const auto gone = pool.backends.back();
  pool.backends.pop_back();
  pool.passSeconds(1);
  pool.backends.push_back(gone);
  for (int i = 0; i < 4; ++i) CHECK(pool.look().empty());
  CHECK_FALSE(pool.look().empty());
}

TEST_CASE("Rebalance does nothing where there is one backend, or none", "[balance]") {
  const std::size_t count = GENERATE(0U, 1U);
  Pool pool(std::vector<std::uint32_t>(count, 40));
  pool.passSeconds(20);
  CHECK(pool.closed == 0);
}

TEST_CASE("Rebalance brings sessions back from a later tier as far as the first has room", "[balance]") {
  Pool pool({0, 0, 30});
  pool.backends[2].weight = 0;
  pool.strategy = Pool::fewest;
  SECTION("all of them") {
    pool.passSeconds(30);
    CHECK(pool.sessions() == std::vector<std::uint32_t>{15, 15, 0});
  }
  SECTION("none where the first tier is full") {
    pool.backends[0].room = pool.backends[1].room = 0;
    pool.passSeconds(30);
    CHECK(pool.closed == 0);
  }
}

TEST_CASE("Rebalance closes no more than there are places elsewhere", "[balance]") {
  Pool pool({40, 0});
  pool.strategy = [](const Pool& now) { return now.backends[1].room > 0 ? 1U : 0U; };
  for (int i = 0; i < 120; ++i) {
    pool.backends[1].room = 3 - std::min(3U, pool.backends[1].sessions);
    (void)pool.look();
  }
  CHECK(pool.backends[1].sessions <= 3);
  CHECK(pool.closed <= 4);
}

TEST_CASE("Rebalance rests where clients do not come to other backends, and longer each time", "[balance]") {
  Pool pool({200, 0});
  pool.returns = GENERATE(true, false);  // the strategy sends them back, or they do not come at all
  pool.strategy = Pool::always(0);
  pool.passSeconds(20);
  CHECK(pool.closed == 8);
  CHECK(pool.rebalance.state() == Rebalance::State::kResting);
  pool.passSeconds(50);
  CHECK(pool.closed == 8);
  pool.passSeconds(3'600);
  CHECK(pool.closed <= 8 * 7);  // after 1, 2, 4, 8, 16, 32 minutes

  const auto before = pool.closed;
  pool.returns = true;
  pool.strategy = Pool::fewest;
  pool.backends.push_back({.identity = 3, .weight = 1'000});
  pool.passSeconds(30);
  CHECK(pool.closed > before + 8);
  CHECK(pool.rebalance.state() == Rebalance::State::kEven);
}

TEST_CASE("Rebalance closes nothing that the strategy of late sends back", "[balance]") {
  Pool pool({180, 20});  // as a strategy has it that finds the second slow
  pool.strategy = [](const Pool& now) { return now.turn++ % 10 == 0 ? 1U : 0U; };
  pool.passSeconds(2);
  for (int i = 0; i < 60; ++i) {
    --pool.backends[i % 10 == 0 ? 1 : 0].sessions;
    pool.connect();
    (void)pool.look();
  }
  CHECK(pool.closed <= 16);
  CHECK(pool.rebalance.state() != Rebalance::State::kMoving);
}

TEST_CASE("Rebalance moves sessions from a backend that the strategy avoids", "[balance]") {
  Pool pool({100, 100, 100});
  pool.strategy = [](const Pool& now) {  // the third is slow
    const auto turn = now.turn++ % 20;
    return turn == 0 ? 2U : turn % 2;
  };
  for (int i = 0; i < 90; ++i) {  // by itself it would lose 25
    --pool.backends[static_cast<std::size_t>(i) % 3].sessions;
    pool.connect();
    (void)pool.look();
  }
  CHECK(pool.backends[2].sessions <= 60);
  CHECK(pool.backends[2].sessions >= 10);
  CHECK(pool.closed <= 60);
  const auto closed = pool.closed;
  pool.passSeconds(600);
  CHECK(pool.closed <= closed + 60);
}

TEST_CASE("Rebalance is not led on by clients that came while a backend was away", "[balance]") {
  Pool pool({40});
  pool.strategy = Pool::always(0);
  pool.passSeconds(2);
  for (int i = 0; i < 40; ++i) pool.connect();
  (void)pool.look();
  pool.backends.push_back({.identity = 2, .weight = 1'000});
  pool.strategy = Pool::inTurn;
  pool.passSeconds(30);
  CHECK(pool.spread() <= 10);
}

TEST_CASE("Rebalance stays calm while clients come and go", "[balance]") {
  Pool pool({100, 100, 100, 100});
  pool.strategy = Pool::inTurn;
  pool.passSeconds(300, 8);
  CHECK(pool.closed == 0);
}

}  // namespace lemonade
