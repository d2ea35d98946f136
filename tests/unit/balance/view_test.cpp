// SPDX-License-Identifier: MIT
//
// What a view tells the strategy of the pool and its backends.
#include "balance/view.h"

#include "unit/balance/scripted_pool.h"

#include <catch2/catch.hpp>

#include <cstdint>
#include <string>
#include <vector>

using namespace lemonade;

using Fixture = ScriptedPool;

TEST_CASE_METHOD(Fixture, "A view tells the strategy its pool and the balancer's zone", "[balance]") {
  std::string seen;
  scripted.pick = [&](const auto&, const lemonade_view_t& view, const void*) {
    REQUIRE(LEMONADE_HAS(&view, lemonade_view_t, zone));
    seen = std::string(view.pool.data, view.pool.size) + " in " + std::string(view.zone.data, view.zone.size);
    return view.eligible[0];
  };
  (void)pick();
  CHECK(seen == "default in ");
  pool.setZone("eu-1a");
  pool.publish();
  (void)pick();
  CHECK(seen == "default in eu-1a");
}

TEST_CASE_METHOD(Fixture,
                 "A view tells the strategy the zone and the labels of a backend as they were when it was made",
                 "[balance]") {
  config::Backend settings = backends[1]->settings();
  settings.zone = "eu-1b";
  settings.labels = {{"role", "primary"}, {"rack", "7"}};
  backends[1]->apply(settings);
  pool.publish();
  const lemonade_view_t* shown = nullptr;
  scripted.pick = [&](const auto&, const lemonade_view_t& view, const void*) {
    shown = &view;
    return view.eligible[0];
  };
  (void)pick();
  REQUIRE(shown != nullptr);
  REQUIRE(LEMONADE_VIEW_HAS(shown, label_count));
  settings.zone = "eu-1c";
  settings.labels.clear();
  backends[1]->apply(settings);  // which shows in the next view

  CHECK(lemonade_view_backend(shown, 0)->zone.size == 0);
  CHECK(lemonade_view_backend(shown, 0)->labels == nullptr);
  const auto& row = *lemonade_view_backend(shown, 1);
  CHECK(std::string(row.zone.data, row.zone.size) == "eu-1b");
  REQUIRE(row.label_count == 2);
  CHECK(std::string(row.labels[0].name.data, row.labels[0].name.size) == "rack");
  const auto role = lemonade_backend_label(shown, 1, LEMONADE_STR("role"));
  CHECK(std::string(role.data, role.size) == "primary");
  CHECK(lemonade_backend_label(shown, 1, LEMONADE_STR("colour")).size == 0);
  CHECK(row.options == nullptr);
}

TEST_CASE_METHOD(Fixture, "A view hands the strategy the options of a backend that it declares", "[balance]") {
  static const lemonade_option_t kRows[] = {
      {LEMONADE_STR("cost"), LEMONADE_OPTION_INTEGER, 0, 1, 10, LEMONADE_STR("3"), {}, LEMONADE_STR("doc")}};
  tables.back()->backend_options = kRows;
  tables.back()->backend_option_count = 1;
  tables.back()->backend_option_stride = sizeof(lemonade_option_t);
  config::Backend settings = backends[1]->settings();
  settings.options = {{"cost", std::int64_t{7}, {}}};
  backends[1]->apply(settings);
  pool.publish();
  std::vector<std::int64_t> costs;
  scripted.pick = [&](const auto&, const lemonade_view_t& view, const void*) {
    for (std::uint32_t i = 0; i < view.backend_count; ++i) {
      const auto* options = lemonade_view_backend(&view, i)->options;
      if (options != nullptr && options->count == 1) costs.push_back(options->values[0].integer);
    }
    return view.eligible[0];
  };
  (void)pick();
  CHECK(costs == std::vector<std::int64_t>{3, 7, 3});
}
