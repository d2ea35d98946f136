// SPDX-License-Identifier: MIT
#include "plugin/kind.h"

#include <catch2/catch.hpp>
#include <set>

using namespace lemonade::plugin;

namespace {

lemonade_status_t create(const lemonade_host_t*, const lemonade_options_t*, void**, lemonade_error_t*) noexcept {
  return LEMONADE_OK;
}
void destroy(void*) noexcept {}
lemonade_status_t laneCreate(void*, std::uint32_t, void**, lemonade_error_t*) noexcept { return LEMONADE_OK; }
lemonade_status_t prepare(void*, const lemonade_view_t*, void**, lemonade_error_t*) noexcept { return LEMONADE_OK; }
std::uint32_t pick(void*, void*, const void*, const lemonade_connection_t*, const lemonade_view_t*,
                   std::uint64_t*) noexcept {
  return LEMONADE_PICK_NONE;
}

lemonade_strategy_t strategy() {
  lemonade_strategy_t table{};
  table.struct_size = sizeof(table);
  table.create = create;
  table.destroy = destroy;
  table.pick = pick;
  return table;
}

template <class Table>
std::string missing(const Table& table) {
  return kKindOf<Table>.missing(&table);
}

}  // namespace

TEST_CASE("Each kind has a bit, an interface and names that no other kind has", "[plugin]") {
  std::set<std::string> interfaces, names, words;
  std::uint32_t bits = 0, count = 0;
  forEachKind(~0U, [&]<class Table>(std::type_identity<Table>) {
    const auto& kind = kKindOf<Table>;
    CHECK((bits & kind.bit) == 0);
    bits |= kind.bit;
    interfaces.insert(kind.interface_id);
    names.insert(kind.name);
    words.insert(kind.words);
    ++count;
  });
  CHECK(bits == kKnownKinds);
  CHECK(interfaces.size() == count);
  CHECK(names.size() == count);
  CHECK(words.size() == count);
}

TEST_CASE("forEachKind visits the kinds of a mask and no others", "[plugin]") {
  std::string visited;
  forEachKind(LEMONADE_KIND_STRATEGY | LEMONADE_KIND_METRICS_SINK | std::uint32_t{1} << 31,
              [&]<class Table>(std::type_identity<Table>) { visited += kKindOf<Table>.name + std::string(" "); });
  CHECK(visited == "strategy metrics_sink ");
  CHECK(kindWords(LEMONADE_KIND_STRATEGY | LEMONADE_KIND_METRICS_SINK) == "strategy, metrics sink");
  CHECK(kindWords(0).empty());
}

TEST_CASE("A table of every kind needs create and destroy", "[plugin]") {
  forEachKind(kKnownKinds, []<class Table>(std::type_identity<Table>) {
    Table table{};
    CHECK(missing(table) == "create");
    table.create = create;
    CHECK(missing(table) == "destroy");
    table.destroy = destroy;
    CHECK_FALSE(missing(table).empty());
  });
}

TEST_CASE("A strategy needs pick, and what goes with each function that it may have", "[plugin]") {
  auto table = strategy();
  CHECK(missing(table).empty());
  table.prepare = prepare;
  CHECK(missing(table) == "release, which prepare needs");
  table = strategy();
  table.lane_create = laneCreate;
  CHECK(missing(table) == "lane_destroy, which lane_create needs");
  table = strategy();
  table.events = LEMONADE_EVENT_CONNECTED;
  CHECK(missing(table) == "event, which the mask of events needs");
  table = strategy();
  table.pick = nullptr;
  CHECK(missing(table) == "pick");
}

TEST_CASE("create of a row calls the table's", "[plugin]") {
  const auto table = strategy();
  CHECK(kKindOf<lemonade_strategy_t>.create(&table, nullptr, nullptr, nullptr, nullptr) == LEMONADE_OK);
}
