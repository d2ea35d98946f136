// SPDX-License-Identifier: MIT
//
// What a reload does to pools: which stay, come, go and come back.
#include "app/pool_set.h"

#include "app/managed_pool.h"
#include "app/preparation.h"
#include "balance/feedback.h"
#include "balance/pool.h"
#include "health/checks.h"
#include "unit/app/prepared_pools.h"
#include "unit/app/recording_pool_host.h"
#include "upgrade/heritage.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

using namespace lemonade;
using namespace lemonade::app;

namespace {

/// The pools of a process without workers, whose strategies are round_robin.
class Reloads {
 public:
  Reloads() {
    loop_.start();
    context_.loader = std::make_unique<plugin::Loader>(loop_, cells_, "");
    context_.loader->scan({LEMONADE_TEST_PLUGINS});
  }
  ~Reloads() {
    loop_.run([&] {
      pools_.clear();
      (void)quiescence_.reclaim();
    });
    context_.loader.reset();
    loop_.stop();
  }

  /// A configuration of pools, each with one backend that has the name of the pool.
  std::unique_ptr<Preparation> prepare(const std::vector<std::string>& names) {
    auto preparation = std::make_unique<Preparation>();
    preparation->config.pools.clear();
    for (const auto& name : names) addPool(*preparation, name, pool(name) != nullptr, loop_, *context_.loader);
    return preparation;
  }

  void reload(const std::vector<std::string>& names) {
    const auto preparation = prepare(names);
    loop_.run([&] {
      auto staged = pools_.stage(*preparation, 1);
      REQUIRE(staged);
      pools_.use(std::move(staged).value(), *preparation);
      pools_.retireRest();
    });
  }

  /// Frees what can be freed; returns how much is left.
  std::size_t reclaim() {
    std::size_t left = 0;
    for (int i = 0; i < 5; ++i) loop_.run([&] { left = quiescence_.reclaim() + pools_.reclaim(); });
    return left;
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& pool : pools_.all()) names.push_back(pool->name());
    return names;
  }

  std::shared_ptr<ManagedPool> pool(const std::string& name) const {
    for (const auto& pool : pools_.all())
      if (pool->name() == name) return pool;
    return nullptr;
  }

  ControlLoop& loop() { return loop_; }
  PoolSet& pools() { return pools_; }
  RecordingPoolHost& host() { return host_; }

 private:
  ControlLoop& loop_ = keep<ControlLoop>();
  plugin::MetricCells& cells_ = keep<plugin::MetricCells>();
  Resolver resolver_{loop_};
  PreparationContext context_{loop_, resolver_, cells_};
  Quiescence quiescence_{1};
  Heritage heritage_{cells_};
  health::Checks checks_{loop_};
  RecordingPoolHost host_;
  PoolSet pools_{[this](const std::string& name, std::uint32_t workers) {
    return std::make_shared<ManagedPool>(name, quiescence_, workers, context_, checks_, host_, heritage_);
  }};
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("A pool that stays is the same object, with its backends and what they counted", "[app]") {
  Reloads reloads;
  reloads.reload({"web", "database"});
  const auto web = reloads.pool("web");
  const auto backend = web->backends().at(0);
  backend->counters(0).sessions.add(7);
  CHECK(web->pool().eligibleCount() == 1);
  reloads.reload({"new", "web"});
  CHECK(reloads.pool("web") == web);
  CHECK(web->backends().at(0) == backend);
  CHECK(backend->counters(0).sessions.value() == 7);
  CHECK(reloads.pools().configured().at(0)->name() == "new");
  CHECK(reloads.pools().configured().at(0)->pool().eligibleCount() == 1);
}

TEST_CASE("A pool that goes drains, and is gone once it has no session", "[app]") {
  Reloads reloads;
  reloads.reload({"web", "database"});
  const auto backend = reloads.pool("database")->backends().at(0);
  std::atomic_ref(backend->stats().active).store(1);
  reloads.reload({"web"});
  CHECK(reloads.host().drained == Names{"database/database"});
  CHECK(reloads.reclaim() != 0);
  CHECK(reloads.names() == Names{"web", "database"});
  std::atomic_ref(backend->stats().active).store(0);
  const std::weak_ptr<ManagedPool> gone = reloads.pool("database");
  (void)reloads.reclaim();
  CHECK(reloads.names() == Names{"web"});
  CHECK(gone.expired());
}

TEST_CASE("A pool that comes back while it drains is the same one, and so is its backend", "[app]") {
  Reloads reloads;
  reloads.reload({"web", "database"});
  const auto pool = reloads.pool("database");
  const auto backend = pool->backends().at(0);
  std::atomic_ref(backend->stats().active).store(1);
  reloads.reload({"web"});
  CHECK(pool->pool().eligibleCount() == 0);
  (void)reloads.reclaim();
  reloads.reload({"web", "database"});
  CHECK(reloads.pool("database") == pool);
  CHECK(pool->backends() == std::vector{backend});
  CHECK(pool->pool().eligibleCount() == 1);
  std::atomic_ref(backend->stats().active).store(0);
  (void)reloads.reclaim();
  CHECK(reloads.names() == Names{"web", "database"});
}

TEST_CASE("Pools that were staged and not used leave everything as it was", "[app]") {
  Reloads reloads;
  reloads.reload({"web"});
  const auto web = reloads.pool("web");
  const auto next = reloads.prepare({"database", "web"});
  reloads.loop().run([&] {
    const auto staged = reloads.pools().stage(*next, 1);
    REQUIRE(staged);
    CHECK(&staged.value()["web"] == web.get());
    CHECK(staged.value()["database"].name() == "database");
  });
  CHECK(reloads.names() == Names{"web"});
  CHECK(web->pool().eligibleCount() == 1);
  CHECK(reloads.host().drained.empty());
}
