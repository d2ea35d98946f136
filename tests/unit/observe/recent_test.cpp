// SPDX-License-Identifier: MIT
#include "observe/recent.h"

#include "support/manual_clock.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<Backend> makeBackend(const std::string& id = "a") {
  return std::make_shared<Backend>(config::Backend{.id = id, .name = id, .host = "host", .port = 80},
                                   *Address::parse("10.0.0.1:80"), 2);
}

/// A history that is marked every kTick of a clock, as the balancer does it.
class Marked {
 public:
  explicit Marked(std::vector<std::shared_ptr<Backend>> backends = {}) : backends_(std::move(backends)) {}

  /// So much time passes; the listener and the pool count what is set below.
  void pass(Duration time) {
    for (Duration left = time; left > 0s;) {
      const Duration step = std::min(left, next_mark_);
      clock_.advance(step);
      left -= step;
      next_mark_ -= step;
      if (next_mark_ > 0s) continue;
      recent_.mark(clock_.nowNs(), {listener}, {pool}, backends_);
      next_mark_ = Recent::kTick;
    }
  }
  Rates ofListener() const { return recent_.of(clock_.nowNs(), listener); }
  std::pair<Rates, Histogram::Sum> ofPool() const { return recent_.of(clock_.nowNs(), pool); }
  Recent::OfBackend of(const Backend& backend) const { return recent_.of(clock_.nowNs(), backend); }

  Recent::ListenerNow listener{"web", {}};
  Recent::PoolNow pool{"blue", {}, {}};

 private:
  test::ManualClock clock_;
  Recent recent_{clock_.nowNs()};
  Duration next_mark_ = Recent::kTick;
  std::vector<std::shared_ptr<Backend>> backends_;
};

}  // namespace

TEST_CASE("Rates are those of the last ten to fifteen seconds also for who asks once", "[recent]") {
  Marked marked;
  marked.listener.tally = {.clients = 600, .errors = 60};
  marked.pass(1min);
  CHECK(marked.ofListener().clients == 0);
  marked.listener.tally = {.clients = 700, .exchanges = 200, .errors = 65};
  marked.pass(10s);
  const auto rates = marked.ofListener();
  CHECK(rates.clients == Approx(10));
  CHECK(rates.exchanges == Approx(20));
  CHECK(rates.errors == Approx(0.5));
  CHECK(rates.error_share == Approx(0.05));
  marked.pass(4s);
  CHECK(marked.ofListener().clients == Approx(100.0 / 14));
  marked.pass(1s);
  CHECK(marked.ofListener().clients == 0);
}

TEST_CASE("Rates of what is new are those since the mark before it came", "[recent]") {
  Marked marked;
  marked.pass(7s);
  marked.listener = {"new", {.clients = 10}};
  CHECK(marked.ofListener().clients == Approx(5));
  marked.pass(8s);
  CHECK(marked.ofListener().clients == Approx(1));
}

TEST_CASE("Rates start anew with what left and came again", "[recent]") {
  Marked marked;
  marked.listener.tally.clients = 1'000;
  marked.pass(1min);
  marked.listener.tally.clients = 20;
  CHECK(marked.ofListener().clients == 0);
  marked.pass(5s);
  CHECK(marked.ofListener().clients == Approx(4));
}

TEST_CASE("The share of errors is one at most and nothing is shared by nobody", "[recent]") {
  Marked marked;
  CHECK(marked.ofListener().error_share == 0);
  marked.listener.tally = {.clients = 1, .errors = 3};
  marked.pass(1s);
  CHECK(marked.ofListener().error_share == 1);
}

TEST_CASE("Samples are those of the last minute and not since the start", "[recent]") {
  const auto backend = makeBackend();
  Marked marked({backend});
  const auto answer = [&](std::uint32_t worker, std::uint64_t ns) {
    backend->counters(worker).exchanges.add();
    backend->counters(worker).exchange_time.record(ns);
  };
  for (int i = 0; i < 1'000; ++i) answer(0, 900'000'000);
  CHECK(marked.of(*backend).exchange_time.count == 1'000);
  marked.pass(62s);
  for (int i = 0; i < 100; ++i) answer(static_cast<std::uint32_t>(i % 2), 20'000'000);
  const auto both = marked.of(*backend).exchange_time;
  CHECK(both.count == 1'100);
  CHECK(both.quantile(0.5) > 800e6);
  marked.pass(3s);  // the slow ones are over a minute old
  const auto recent = marked.of(*backend).exchange_time;
  CHECK(recent.count == 100);
  CHECK(recent.quantile(0.99) == Approx(20e6).epsilon(0.01));
  CHECK(recent.sum_ns == 100 * 20'000'000);
  marked.pass(65s);
  CHECK(marked.of(*backend).exchange_time == Histogram::Sum{});
}

TEST_CASE("What processes before this one have counted is no rate", "[recent]") {
  const auto backend = makeBackend();
  Marked marked({backend});
  marked.pass(5s);
  backend->inherited().exchanges.add(1'000'000);
  backend->inherited().exchange_time.record(1);
  backend->inherited().resets.add(1'000);
  const auto figures = marked.of(*backend);
  CHECK(figures.rates.exchanges == 0);
  CHECK(figures.rates.errors == 0);
  CHECK(figures.exchange_time.count == 0);
}

TEST_CASE("A backend fails by its connects and its sessions", "[recent]") {
  const auto backend = makeBackend();
  Marked marked({backend});
  auto& counters = backend->counters(1);
  counters.sessions.add(14);
  counters.connect_refused.add(1);
  counters.connect_timeouts.add(2);
  counters.connect_errors.add(3);
  counters.resets.add(1);
  counters.early_closes.add(3);
  marked.pass(10s);
  const auto rates = marked.of(*backend).rates;
  CHECK(rates.clients == Approx(2));
  CHECK(rates.errors == Approx(1));
  CHECK(rates.error_share == Approx(0.5));
}

TEST_CASE("The queue of a pool has samples of the last minute", "[recent]") {
  Marked marked;
  Histogram waits;
  waits.record(300'000'000);
  marked.pool.queue_time = waits.sum();
  marked.pass(20s);
  CHECK(marked.ofPool().second.count == 1);
  marked.pass(1min);
  CHECK(marked.ofPool().second.count == 0);
}
