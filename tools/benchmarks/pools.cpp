// SPDX-License-Identifier: MIT
//
// Nanoseconds of Pool::pick with the place given back, in a process with 1, 10 and 100 pools of ten backends each:
// always in the same pool, and in all of them in turn. The best of a hundred short runs on one thread, with a strategy
// that takes the next eligible backend, so that what is measured is the pool.
#include "balance/pool.h"
#include "balance/quiescence.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using lemonade::Backend;
using lemonade::Pool;
using lemonade::Quiescence;
using lemonade::Strategy;

lemonade_strategy_t makeTable() {
  lemonade_strategy_t table{};
  table.struct_size = sizeof(table);
  table.create = [](const lemonade_host_t*, const lemonade_options_t*, void**, lemonade_error_t*) noexcept {
    return lemonade_status_t{LEMONADE_OK};
  };
  table.destroy = [](void*) noexcept {};
  table.lane_create = [](void* self, std::uint32_t, void** lane, lemonade_error_t*) noexcept {
    *lane = self;
    return lemonade_status_t{LEMONADE_OK};
  };
  table.lane_destroy = [](void*, void*) noexcept {};
  table.prepare = [](void* self, const lemonade_view_t*, void** prepared, lemonade_error_t*) noexcept {
    *prepared = self;
    return lemonade_status_t{LEMONADE_OK};
  };
  table.release = [](void*, void*) noexcept {};
  table.pick = [](void*, void* lane, const void*, const lemonade_connection_t*, const lemonade_view_t* view,
                  std::uint64_t*) noexcept {
    return view->eligible[++*static_cast<std::uint32_t*>(lane) % view->eligible_count];
  };
  table.event = [](void*, void*, const lemonade_strategy_event_t*) noexcept {};
  return table;
}

/// A pool that is published, with a strategy of its own.
class BusyPool {
 public:
  BusyPool(const std::string& name, Quiescence& quiescence) : pool_(name, quiescence, 1) {
    static const lemonade_strategy_t table = makeTable();
    auto made = Strategy::make(Strategy::Instance(table, &next_, {"next", "1", "", 1}, nullptr), 1);
    pool_.setStrategy(std::move(made).value());
    lemonade::View::Backends backends;
    for (int i = 0; i < 10; ++i) {
      const std::string id = std::to_string(i);
      backends.push_back(
          std::make_shared<Backend>(lemonade::config::Backend{.id = id, .name = id, .host = id, .port = 80},
                                    *lemonade::Address::parse("127.0.0.1:80"), 1));
    }
    pool_.setBackends(std::move(backends));
    pool_.publish();
  }

  void pick(std::uint64_t now) noexcept {
    lemonade_connection_t connection{};
    connection.struct_size = sizeof(connection);
    connection.now_ns = now;
    pool_.release(*pool_.pick(connection, {}).backend);
  }

 private:
  std::uint32_t next_ = 0;  // the lane
  Pool pool_;
};

/// The mean of a run over the pools from the first up to `used`.
double nanosecondsPerPick(const std::vector<std::unique_ptr<BusyPool>>& pools, std::size_t used) {
  constexpr int kPicks = 20'000;
  const auto start = std::chrono::steady_clock::now();
  std::size_t at = 0;
  for (int i = 0; i < kPicks; ++i) {
    pools[at]->pick(static_cast<std::uint64_t>(i));
    if (++at == used) at = 0;
  }
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  return taken.count() / kPicks;
}

double best(const std::vector<std::unique_ptr<BusyPool>>& pools, std::size_t used) {
  constexpr int kRuns = 100;
  double best = 1e9;
  for (int run = 0; run < kRuns; ++run) best = std::min(best, nanosecondsPerPick(pools, used));
  return best;
}

}  // namespace

int main() {
  std::printf("ns per pick, pools:   one of them   each in turn\n");
  for (const std::size_t count : {1, 10, 100}) {
    Quiescence quiescence(1);
    std::vector<std::unique_ptr<BusyPool>> pools;
    for (std::size_t i = 0; i < count; ++i)
      pools.push_back(std::make_unique<BusyPool>("pool-" + std::to_string(i), quiescence));
    std::printf("%-18zu %14.1f %14.1f\n", count, best(pools, 1), best(pools, count));
  }
}
