// SPDX-License-Identifier: MIT
//
// What a strategy is told of a connection only because it asked.
#include "balance/address.h"
#include "balance/backend.h"
#include "balance/pool.h"
#include "balance/quiescence.h"
#include "balance/strategy.h"
#include "balance/view.h"
#include "config/config.h"

#include <lemonade/strategy.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace lemonade {
namespace {

/// Takes the first backend that may be picked, and remembers how often it was asked and where the last client came to.
struct Rememberer {
  int asked = 0;
  std::uint32_t family = 0;
  std::uint8_t last_byte = 0;

  static lemonade_strategy_t table(std::uint32_t needs) {
    lemonade_strategy_t table{};
    table.struct_size = sizeof(table);
    table.needs = needs;
    table.destroy = [](void*) noexcept {};
    table.pick = [](void* self, void*, const void*, const lemonade_connection_t* connection,
                    const lemonade_view_t* view, std::uint64_t*) noexcept -> std::uint32_t {
      auto& remembered = *static_cast<Rememberer*>(self);
      ++remembered.asked;
      remembered.family = connection->local_family;
      remembered.last_byte = connection->local_address[15];
      for (std::uint32_t i = 0; i < view->eligible_count; ++i)
        if (lemonade_may_pick(connection, view, view->eligible[i]) != 0) return view->eligible[i];
      return LEMONADE_PICK_NONE;
    };
    return table;
  }
};

/// Counts how often somebody wants to know.
class Counted final : public LocalAddressSource {
 public:
  Address localAddress() const noexcept override {
    ++times;
    return address;
  }

  Address address = *Address::parse("192.0.2.1:80");
  mutable int times = 0;
};

struct Fixture {
  explicit Fixture(const lemonade_strategy_t& of) : table(of) {
    pool.setStrategy(Strategy::make(Strategy::Instance(table, &strategy, {"needs", "1", "", 1}, nullptr), 1).value());
    show({{.id = "a", .name = "a", .host = "127.0.0.1", .port = 80}});
  }
  ~Fixture() { pool.clear(); }

  void show(const std::vector<config::Backend>& all) {
    View::Backends backends;
    for (const auto& one : all) backends.push_back(std::make_shared<Backend>(one, *Address::parse("127.0.0.1:80"), 1));
    pool.setBackends(std::move(backends));
    pool.publish();
  }
  Picked pick(const LocalAddressSource* source) {
    lemonade_connection_t connection{};
    connection.struct_size = sizeof(connection);
    return pool.pick(connection, {}, source);
  }

  const lemonade_strategy_t table;
  Rememberer strategy;
  Counted local;
  Quiescence quiescence{1};
  Pool pool{"default", quiescence, 1};
};

}  // namespace

TEST_CASE("Pool::pick asks nobody where a client came to for a strategy that does not need it", "[balance]") {
  Fixture fixture(Rememberer::table(0));
  CHECK(fixture.pick(&fixture.local).what == Picked::What::kBackend);
  CHECK(fixture.local.times == 0);
  CHECK(fixture.strategy.family == 0);
  CHECK(fixture.strategy.last_byte == 0);
}

TEST_CASE("Pool::pick tells a strategy that needs it where the client came to", "[balance]") {
  Fixture fixture(Rememberer::table(LEMONADE_NEED_LOCAL_ADDRESS));
  CHECK(fixture.pick(&fixture.local).what == Picked::What::kBackend);
  CHECK(fixture.local.times == 1);
  CHECK(fixture.strategy.family == LEMONADE_FAMILY_IPV4);
  CHECK(fixture.strategy.last_byte == 1);

  fixture.local.address = Address();  // as where the kernel does not say
  CHECK(fixture.pick(&fixture.local).what == Picked::What::kBackend);
  CHECK(fixture.strategy.family == 0);
  CHECK(fixture.strategy.last_byte == 0);
}

TEST_CASE("Pool::pick does without where nobody knows where a client came to", "[balance]") {
  Fixture fixture(Rememberer::table(LEMONADE_NEED_LOCAL_ADDRESS));
  CHECK(fixture.pick(nullptr).what == Picked::What::kBackend);
  CHECK(fixture.strategy.family == 0);
}

TEST_CASE("Pool::pick learns once where a client came to, however many tiers it asks", "[balance]") {
  lemonade_strategy_t table = Rememberer::table(LEMONADE_NEED_LOCAL_ADDRESS);
  table.pick = [](void* self, void*, const void*, const lemonade_connection_t*, const lemonade_view_t*,
                  std::uint64_t*) noexcept -> std::uint32_t {
    ++static_cast<Rememberer*>(self)->asked;
    return LEMONADE_PICK_NONE;
  };
  Fixture fixture(table);
  const config::Backend first{.id = "a", .name = "a", .host = "127.0.0.1", .port = 80};
  config::Backend second = first;
  second.id = "b";
  second.priority = 1;
  fixture.show({first, second});
  CHECK(fixture.pick(&fixture.local).what == Picked::What::kNone);
  CHECK(fixture.strategy.asked == 2);
  CHECK(fixture.local.times == 1);
}

TEST_CASE("Pool::pick reads no needs of a strategy that was built with ABI 1.0", "[balance]") {
  lemonade_strategy_t table = Rememberer::table(LEMONADE_NEED_LOCAL_ADDRESS);  // which 1.0 has no field for
  table.struct_size = LEMONADE_SIZE_TO(lemonade_strategy_t, import_state);
  Fixture fixture(table);
  CHECK(fixture.pick(&fixture.local).what == Picked::What::kBackend);
  CHECK(fixture.local.times == 0);
}

}  // namespace lemonade
