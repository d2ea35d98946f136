// SPDX-License-Identifier: MIT
//
// What a reload does as a whole: pools, workers and listeners take a configuration over, or all stays as it was. The
// workers are real, and the listeners at loopback; there are no clients.
#include "app/takeover.h"

#include "app/managed_pool.h"
#include "app/preparation.h"
#include "balance/pool.h"
#include "health/checks.h"
#include "support/deadline.h"
#include "support/few_descriptors.h"
#include "unit/app/prepared_pools.h"
#include "unit/app/recording_pool_host.h"
#include "upgrade/heritage.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace lemonade;
using namespace lemonade::app;

namespace {

using Names = std::vector<std::string>;

/// A configuration to be.
struct Wanted {
  struct Listener {
    std::string name;
    std::string pool;
    std::string address = "127.0.0.1:0";
  };
  Names pools;  ///< each with one backend, which has the name of the pool
  std::vector<Listener> listeners;
  std::uint32_t workers = 1;
};

/// The pools, workers and listeners of a process.
class Process {
 public:
  Process() {
    loop_.start();
    context_.loader = std::make_unique<plugin::Loader>(loop_, cells_, "");
    context_.loader->scan({LEMONADE_TEST_PLUGINS});
    host_.on_view = [this] { lookForStranded(); };
  }
  ~Process() {
    loop_.run([&] {
      CHECK(proxy_.stop());
      pools_.clear();
      (void)quiescence_.reclaim();
    });
    context_.loader.reset();
    loop_.stop();
    CHECK_FALSE(stranded_);
  }

  /// Stages the configuration, and puts it in force where that succeeds.
  Status takeOver(const Wanted& wanted) {
    return stage(wanted, [this](Takeover takeover, const Preparation& preparation) {
      std::move(takeover).use(preparation, {});
      if (!std::exchange(started_, true)) proxy_.start();
    });
  }
  /// Stages the configuration and drops that, as where another part of it comes to nothing.
  Status stageOnly(const Wanted& wanted) {
    return stage(wanted, [](Takeover takeover, const Preparation&) { CHECK_FALSE(takeover.addresses().empty()); });
  }

  Names pools() const {
    Names names;
    for (const auto& pool : pools_.all()) names.push_back(pool->name());
    return names;
  }
  /// "name -> pool at address" of each.
  Names listeners() const {
    Names texts;
    for (const auto& listener : proxy_.listeners()) {
      std::string text = listener->name() + " -> " + listener->pool().name() + " at";
      for (const auto& socket : listener->sockets()) text += " " + socket->address().text();
      texts.push_back(text);
    }
    return texts;
  }
  std::string address(std::size_t listener) const {
    return proxy_.listeners().at(listener)->sockets().at(0)->address().text();
  }
  std::shared_ptr<ManagedPool> pool(const std::string& name) const {
    for (const auto& pool : pools_.all())
      if (pool->name() == name) return pool;
    return nullptr;
  }
  std::uint32_t workers() const { return proxy_.serving(); }
  /// Whether all workers, listeners and pools end that are not in use.
  bool settles() {
    return test::eventually([&] {
      std::size_t left = 0;
      proxy_.wake();
      loop_.run([&] { left = quiescence_.reclaim() + pools_.reclaim() + proxy_.reap(); });
      return left == 0;
    });
  }
  const Names& drained() const { return host_.drained; }

  /// Pools of this name cannot be made.
  std::string impossible;

 private:
  template <class Then>
  Status stage(const Wanted& wanted, Then&& then) {
    auto preparation = prepare(wanted);
    Status status = success();
    loop_.run([&] {
      auto takeover = Takeover::stage(*preparation, pools_, proxy_, inherited_);
      if (takeover)
        then(std::move(takeover).value(), *preparation);
      else
        status = takeover.error();
    });
    discard(*preparation, loop_);
    return status;
  }

  std::unique_ptr<Preparation> prepare(const Wanted& wanted) {
    auto preparation = std::make_unique<Preparation>();
    preparation->config.runtime.workers = wanted.workers;
    preparation->config.pools.clear();
    preparation->config.listeners.clear();
    for (const auto& name : wanted.pools) addPool(*preparation, name, pool(name) != nullptr, loop_, *context_.loader);
    for (const auto& [name, pool, address] : wanted.listeners) {
      auto& listener = preparation->config.listeners.emplace_back();
      listener.name = name;
      listener.pool = pool;
      listener.addresses.push_back({address, {}});
    }
    return preparation;
  }

  // At no moment of a takeover does a listener lead to a pool of which no backend may be picked.
  void lookForStranded() {
    for (const auto& listener : proxy_.listeners())
      if (listener->pool().eligibleCount() == 0) stranded_ = true;
  }

  ControlLoop& loop_ = keep<ControlLoop>();
  plugin::MetricCells& cells_ = keep<plugin::MetricCells>();
  Resolver resolver_{loop_};
  PreparationContext context_{loop_, resolver_, cells_};
  Heritage heritage_{cells_};
  health::Checks checks_{loop_};
  RecordingPoolHost host_;
  Quiescence quiescence_{1};
  PoolSet pools_{[this](const std::string& name, std::uint32_t workers) {
    if (name == impossible) throw std::system_error(EMFILE, std::generic_category(), "eventfd");
    auto pool = std::make_shared<ManagedPool>(name, quiescence_, workers, context_, checks_, host_, heritage_);
    proxy_.attach(pool->pool());
    return pool;
  }};
  proxy::Proxy proxy_{quiescence_, proxy::RelayKind::kEpoll};
  InheritedDescriptors inherited_;
  bool started_ = false;
  bool stranded_ = false;
};

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("A takeover has listeners lead to the pools that they name, and so many workers serve", "[app]") {
  Process process;
  REQUIRE(process.takeOver({{"web", "database"}, {{"http", "web"}, {"sql", "database"}}, 2}));
  CHECK(process.listeners() ==
        Names{"http -> web at " + process.address(0), "sql -> database at " + process.address(1)});
  CHECK(process.workers() == 2);
  CHECK(process.pool("web")->pool().eligibleCount() == 1);
  CHECK(process.pool("database")->pool().eligibleCount() == 1);
}

TEST_CASE("A takeover keeps what stays, adds what is new, and has drain what goes", "[app]") {
  Process process;
  REQUIRE(process.takeOver({{"web", "old"}, {{"http", "web"}, {"other", "old"}}, 1}));
  const auto web = process.pool("web");
  const auto http = process.address(0), other = process.address(1);
  REQUIRE(process.takeOver({{"new", "web"}, {{"other", "new"}, {"http", "web"}}, 3}));
  CHECK(process.listeners() == Names{"other -> new at " + other, "http -> web at " + http});
  CHECK(process.pool("web") == web);
  CHECK(process.workers() == 3);
  CHECK(process.drained() == Names{"old/old"});
  CHECK(process.settles());
  CHECK(process.pools() == Names{"new", "web"});
}

TEST_CASE("A takeover that comes to nothing leaves pools, listeners and workers as they were", "[app]") {
  Process process;
  REQUIRE(process.takeOver({{"web"}, {{"http", "web"}}, 1}));
  const auto web = process.pool("web");
  const auto backend = web->backends().at(0);
  const Names listeners = process.listeners();
  Status status = success();
  SECTION("as an address is taken") {
    const auto taken = proxy::ListeningSocket::open(*Address::parse("127.0.0.1:0"), 1, {}).value();
    const auto address = taken->address().text();
    status = process.takeOver({{"new", "web"}, {{"http", "new"}, {"second", "web", address}}, 3});
    REQUIRE_FALSE(status);
    CHECK(contains(status.error().message, address));
  }
  SECTION("as a pool cannot be made") {
    process.impossible = "new";
    status = process.takeOver({{"web", "new"}, {{"http", "new"}}, 3});
    REQUIRE_FALSE(status);
    CHECK(contains(status.error().message, "cannot make a pool"));
  }
  SECTION("as there are no descriptors for workers") {
    const test::FewDescriptors none(0);
    status = process.takeOver({{"web"}, {{"http", "web"}}, 3});
    REQUIRE_FALSE(status);
    CHECK(contains(status.error().message, "3 workers"));
  }
  SECTION("as another part of the configuration cannot be used") {
    REQUIRE(process.stageOnly({{"new"}, {{"http", "new"}, {"second", "new"}}, 3}));
  }
  CHECK(process.listeners() == listeners);
  CHECK(process.workers() == 1);
  CHECK(process.pool("web") == web);
  CHECK(web->backends() == std::vector{backend});
  CHECK(web->pool().eligibleCount() == 1);
  CHECK(process.drained().empty());
  CHECK(process.settles());
  CHECK(process.pools() == Names{"web"});
  // And the next one is taken over as if nothing had been.
  process.impossible.clear();
  REQUIRE(process.takeOver({{"new", "web"}, {{"http", "new"}}, 2}));
  CHECK(process.pool("new")->pool().eligibleCount() == 1);
  CHECK(process.workers() == 2);
}
