// SPDX-License-Identifier: MIT
//
// Nanoseconds of one pick, for each strategy and for pools from 2 to 10,000 backends: the best of a hundred short runs
// on one thread, over backends with some sessions, half of which wait for an answer, and some latency. The clock of the
// connections moves 5 us a pick (200,000 connections a second), so that what a strategy renews by time is paid for. The
// runs of each lie seconds apart, since the machine is slower at times. Strategies that prefer zones are there a second
// time, with every other backend in the own zone.
#include "support/strategy_fixture.h"

#include <lemonade/sdk/sampling.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

using lemonade::test::StrategyFixture;

/// A strategy as it is measured.
struct Row {
  const char* file;
  bool zones = false;  ///< it prefers the own zone

  std::string name() const { return std::filesystem::path(file).stem().string() + (zones ? "+zones" : ""); }
  std::map<std::string, std::string> options() const {
    return zones ? std::map<std::string, std::string>{{"zone_aware", "true"}} : std::map<std::string, std::string>{};
  }
};

std::vector<Row> rows() {
  std::vector<Row> rows;
  for (const char* file : {LEMONADE_STRATEGY_FILES}) rows.push_back({file});
  for (const char* file : {LEMONADE_ZONE_STRATEGY_FILES}) rows.push_back({file, true});
  return rows;
}

std::vector<lemonade::test::BackendSpec> weightedPool(std::size_t size) {
  auto pool = lemonade::test::equalBackends(size);
  for (std::size_t i = 0; i < size; ++i) {
    pool[i].weight = static_cast<std::uint32_t>(1 + i % 3);
    pool[i].zone = i % 2 == 0 ? "here" : "there";
  }
  return pool;
}

void makeBusy(StrategyFixture& fixture) {
  for (std::uint32_t i = 0; i < fixture.size(); ++i) {
    const auto random = lemonade::sdk::nthRandom(7, i);
    fixture.open(i, random % 20);
    for (std::uint32_t asked = 0; asked < random % 20 / 2; ++asked) fixture.ask(i);
    fixture.stats(i).exchange_ewma_ns = 1e6 + static_cast<double>(random % 1'000'000);
    fixture.stats(i).sampled_at_ns = fixture.now();
    fixture.learn(i, 1'000'000 + random % 1'000'000, 256);
  }
}

double nanosecondsPerPick(StrategyFixture& fixture) {
  constexpr int kPicks = 20'000;
  std::uint32_t sink = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kPicks; ++i) {
    fixture.advance(5'000);
    sink ^= fixture.pick();
  }
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  if (sink == LEMONADE_PICK_REJECT) std::puts("");  // the picks must not be optimised away
  return taken.count() / kPicks;
}

struct Cell {
  std::unique_ptr<StrategyFixture> fixture;
  double best = 1e9;
};

void measure(Cell& cell) {
  constexpr int kRuns = 10;
  for (int run = 0; run < kRuns; ++run) cell.best = std::min(cell.best, nanosecondsPerPick(*cell.fixture));
}

}  // namespace

int main() {
  constexpr int kRounds = 10;
  const auto strategies = rows();
  const std::size_t sizes[] = {2, 10, 100, 1'000, 10'000};
  std::vector<Cell> cells;
  for (const auto& row : strategies)
    for (const auto size : sizes) {
      cells.push_back({std::make_unique<StrategyFixture>(row.file, weightedPool(size), row.options())});
      makeBusy(*cells.back().fixture);
    }
  for (int round = 0; round < kRounds; ++round)
    for (auto& cell : cells) measure(cell);

  std::printf("%-24s", "ns per pick, backends:");
  for (const auto size : sizes) std::printf("%9zu", size);
  auto cell = cells.begin();
  for (const auto& row : strategies) {
    std::printf("\n%-24s", row.name().c_str());
    for ([[maybe_unused]] const auto size : sizes) std::printf("%9.1f", (cell++)->best);
  }
  std::puts("");
}
