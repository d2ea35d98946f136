// SPDX-License-Identifier: MIT
#include "plugin/loader.h"

#include "support/plugin.h"

#include <stdlib.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

using namespace lemonade;
using namespace lemonade::plugin;
namespace fs = std::filesystem;

namespace {

/// A new object, kept until the process ends, as host handles demand.
template <class T>
T& keep() {
  static auto& kept = *new std::vector<std::unique_ptr<T>>;
  return *kept.emplace_back(std::make_unique<T>());
}

struct Fixture {
  Fixture() {
    std::string name = (fs::temp_directory_path() / "lemonade-loader-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory = name;
    fs::copy_file(LEMONADE_TEST_PLUGINS "/round_robin.so", directory / "round_robin.so");
    fs::permissions(directory / "round_robin.so", fs::perms{0644});
    loader.scan({directory.string()});
  }
  ~Fixture() { fs::remove_all(directory); }

  fs::path directory;
  ControlLoop& loop = keep<ControlLoop>();
  MetricCells& cells = keep<MetricCells>();
  Loader loader{loop, cells, ""};
  std::vector<OptionProblem> problems;
};

/// One pick of an instance from a view of one backend.
std::uint32_t pickOne(const StrategyInstance& strategy) {
  lemonade_backend_stats_t stats{};
  lemonade_backend_t backend{};
  backend.stats = &stats;
  backend.flags = LEMONADE_BACKEND_ELIGIBLE;
  const std::uint32_t eligible = 0;
  lemonade_view_t view{};
  view.struct_size = sizeof(view);
  view.backend_stride = sizeof(backend);
  view.backend_count = view.eligible_count = 1;
  view.backends = &backend;
  view.eligible = &eligible;
  lemonade_connection_t connection{};
  connection.struct_size = sizeof(connection);
  std::uint64_t cookie = 0;
  return strategy.table().pick(strategy.self(), nullptr, nullptr, &connection, &view, &cookie);
}

}  // namespace

TEST_CASE_METHOD(Fixture, "Loader makes an instance that works", "[plugin]") {
  auto strategy = test::create<lemonade_strategy_t>(loader, {"round_robin", {}, {}}, problems);
  REQUIRE(strategy);
  CHECK(problems.empty());
  CHECK(strategy->info().id == "round_robin");
  CHECK(strategy->info().number == 1);
  CHECK(pickOne(*strategy) == 0);
}

TEST_CASE_METHOD(Fixture, "Loader runs a private copy that nothing done to the file can harm", "[plugin]") {
  auto strategy = test::create<lemonade_strategy_t>(loader, {"round_robin", {}, {}}, problems);
  REQUIRE(strategy);
  std::ofstream(directory / "round_robin.so", std::ios::trunc) << "overwritten";
  CHECK(pickOne(*strategy) == 0);
  fs::remove(directory / "round_robin.so");
  CHECK(pickOne(*strategy) == 0);
}

TEST_CASE_METHOD(Fixture, "Loader loads the same content once", "[plugin]") {
  auto first = test::create<lemonade_strategy_t>(loader, {"round_robin", {}, {}}, problems);
  auto second = test::create<lemonade_strategy_t>(loader, {"round_robin", {}, {}}, problems);
  REQUIRE((first && second));
  CHECK(&second->table() == &first->table());
  CHECK(second->info().number == first->info().number + 1);
  CHECK(first->self() != second->self());
}

TEST_CASE_METHOD(Fixture, "Loader names what there is where a plugin is not there", "[plugin]") {
  CHECK_FALSE(test::create<lemonade_strategy_t>(loader, {"raund_robin", {"f.toml", 3, 5}, {}}, problems));
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].source.line == 3);
  CHECK_THAT(problems[0].text,
             Catch::Contains("no plugin \"raund_robin\"") && Catch::Contains("here are: round_robin"));
}

TEST_CASE_METHOD(Fixture, "Loader refuses a plugin of another kind", "[plugin]") {
  CHECK_FALSE(test::create<lemonade_health_checker_t>(loader, {"round_robin", {}, {}}, problems));
  REQUIRE(problems.size() == 1);
  CHECK_THAT(problems[0].text, Catch::Contains("is no health checker but a strategy"));
}

TEST_CASE_METHOD(Fixture, "Loader unmaps an image that is safe to unmap when its last instance is gone", "[plugin]") {
  const auto mapped = [&] {
    std::ifstream maps("/proc/self/maps");
    const std::string text{std::istreambuf_iterator<char>(maps), {}};
    return text.find("round_robin-g") != std::string::npos;
  };
  const auto before = Image::mapped();
  auto first = test::create<lemonade_strategy_t>(loader, {"round_robin", {}, {}}, problems);
  auto second = test::create<lemonade_strategy_t>(loader, {"round_robin", {}, {}}, problems);
  REQUIRE((first && second));
  CHECK(Image::mapped() == before + 1);
  first.reset();
  CHECK(mapped());
  second.reset();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  CHECK(mapped());
#else
  CHECK_FALSE(mapped());
  CHECK(Image::mapped() == before);
#endif
  auto again = test::create<lemonade_strategy_t>(loader, {"round_robin", {}, {}}, problems);
  REQUIRE(again);
  CHECK(pickOne(*again) == 0);
}
