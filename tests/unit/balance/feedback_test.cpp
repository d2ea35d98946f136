// SPDX-License-Identifier: MIT
#include "balance/feedback.h"

#include <catch2/catch.hpp>

#include <limits>

#include <atomic>
#include <thread>
#include <vector>

using namespace lemonade;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Fixture {
  Backend backend{{.id = "a", .name = "a", .host = "127.0.0.1", .port = 80, .max_connections = 3},
                  *Address::parse("127.0.0.1:80"),
                  1};
  lemonade_backend_stats_t& stats = backend.stats();
};

}  // namespace

TEST_CASE_METHOD(Fixture, "feedback::acquire holds the limit of a backend exactly over several threads", "[balance]") {
  std::atomic<int> most{0}, now{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 20'000; ++round) {
        if (!feedback::acquire(backend)) continue;
        const int held = ++now;
        for (int seen = most; held > seen && !most.compare_exchange_weak(seen, held);) {
        }
        --now;
        feedback::release(backend);
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(most <= 3);
  CHECK(backend.active() == 0);
}

TEST_CASE_METHOD(Fixture, "feedback shows the mean age of the exchanges that wait", "[balance]") {
  feedback::exchangeStarted(backend, 10 * kSecond);
  feedback::exchangeStarted(backend, 14 * kSecond);
  CHECK(stats.waiting == 2);
  CHECK(lemonade_mean_wait_ns(&stats, 15 * kSecond) == 3 * kSecond);
  feedback::exchangeAnswered(backend, 14 * kSecond, 15 * kSecond);
  CHECK(lemonade_mean_wait_ns(&stats, 15 * kSecond) == 5 * kSecond);
  feedback::exchangeDropped(backend, 10 * kSecond);
  CHECK(lemonade_mean_wait_ns(&stats, 15 * kSecond) == 0);
}

TEST_CASE_METHOD(Fixture, "feedback averages jump up to a slow sample and sink back slowly", "[balance]") {
  feedback::exchangeStarted(backend, 0);
  feedback::exchangeAnswered(backend, 0, 1'000'000);
  CHECK(stats.exchange_ewma_ns == 1e6);
  feedback::exchangeStarted(backend, 0);
  feedback::exchangeAnswered(backend, 0, 50'000'000);
  CHECK(stats.exchange_ewma_ns == 50e6);
  // Two seconds, the time constant, later: 1/e of the difference is left.
  const std::uint64_t later = 50'000'000 + 2 * kSecond;
  feedback::exchangeStarted(backend, later - 1'000'000);
  feedback::exchangeAnswered(backend, later - 1'000'000, later);
  CHECK(stats.exchange_ewma_ns == Approx(1e6 + 49e6 / 2.718281828));
}

TEST_CASE_METHOD(Fixture, "feedback lets each average sink by its own time", "[balance]") {
  feedback::exchangeStarted(backend, 0);
  feedback::exchangeAnswered(backend, 0, 50'000'000);
  const std::uint64_t later = 50'000'000 + 2 * kSecond;
  feedback::connected(backend, 1'000, later - 1'000'000);
  feedback::exchangeStarted(backend, later - 1'000'000);
  feedback::exchangeAnswered(backend, later - 1'000'000, later);
  CHECK(stats.exchange_ewma_ns == Approx(1e6 + 49e6 / 2.718281828));
}

namespace {

/// So many exchanges, one after the other, of took_ns each and gap_ns apart; returns when the last was answered.
std::uint64_t exchanges(Backend& backend, std::uint64_t at, int count, std::uint64_t took_ns, std::uint64_t gap_ns) {
  for (int i = 0; i < count; ++i) {
    feedback::exchangeStarted(backend, at + gap_ns);
    at += gap_ns + took_ns;
    feedback::exchangeAnswered(backend, at - took_ns, at);
  }
  return at;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "feedback learns how fast a backend is over three spans and how sure that is", "[balance]") {
  const auto& speed = backend.speed();
  CHECK(speed.struct_size == sizeof(speed));
  auto now = exchanges(backend, kSecond, 1, 4'000'000, 1'000'000);
  for (int i = 0; i < LEMONADE_SPEED_SPANS; ++i) {
    CHECK(speed.root[i] == Approx(2'000));
    CHECK(speed.count[i] == 1);
  }
  now = exchanges(backend, now, 299, 4'000'000, 1'000'000);
  CHECK(speed.count[0] == 4);
  CHECK(speed.count[1] == 32);
  CHECK(speed.count[2] == 256);
  CHECK(speed.spread == Approx(0).margin(1e-3));
  CHECK(speed.gap_ns == Approx(5e6).epsilon(0.01));
  exchanges(backend, now, 4, 16'000'000, 1'000'000);
  CHECK(speed.root[0] == Approx(4'000).epsilon(0.17));  // (3/4)^4 of the difference is left
  CHECK(speed.root[2] == Approx(2'000).epsilon(0.02));
}

TEST_CASE_METHOD(Fixture, "feedback takes for a sample what a backend took since the answer before", "[balance]") {
  feedback::exchangeStarted(backend, kSecond);
  feedback::exchangeStarted(backend, kSecond + 1'000'000);
  CHECK(backend.speed().head_since_ns == kSecond);
  feedback::exchangeAnswered(backend, kSecond, kSecond + 9'000'000);
  CHECK(backend.speed().newest == Approx(3'000));
  CHECK(backend.speed().head_since_ns == kSecond + 9'000'000);
  feedback::exchangeAnswered(backend, kSecond + 1'000'000, kSecond + 13'000'000);
  CHECK(backend.speed().newest == Approx(2'000));
}

TEST_CASE_METHOD(Fixture, "feedback makes little of samples from before a long pause", "[balance]") {
  auto now = exchanges(backend, kSecond, 300, 4'000'000, 1'000'000);
  now = exchanges(backend, now + 10 * kSecond, 1, 16'000'000, 0);
  for (int i = 0; i < LEMONADE_SPEED_SPANS; ++i) {
    CHECK(backend.speed().count[i] < 1.5F);
    CHECK(backend.speed().root[i] > 3'300);
  }
}

TEST_CASE_METHOD(Fixture, "feedback hands on what was learnt of a speed and takes over no nonsense", "[balance]") {
  exchanges(backend, kSecond, 5, 4'000'000, 1'000'000);
  auto learnt = feedback::speedOf(backend);
  learnt.spread = -1;
  learnt.gap_ns = std::numeric_limits<float>::quiet_NaN();
  learnt.count[1] = 7;
  feedback::setSpeed(backend, learnt);
  CHECK(backend.speed().root[2] == Approx(2'000));
  CHECK(backend.speed().count[1] == 7);
  CHECK(backend.speed().spread == 0);
  CHECK(backend.speed().gap_ns == 0);
}

TEST_CASE_METHOD(Fixture, "feedback counts failures in a row and forgets them with the first success", "[balance]") {
  feedback::failed(backend, 5);
  feedback::failed(backend, 6);
  CHECK(stats.fail_streak == 2);
  CHECK(stats.failed_at_ns == 6);
  CHECK(stats.error_rate == Approx(1 - 31.0 / 32 * 31 / 32));
  feedback::succeeded(backend);
  CHECK(stats.fail_streak == 0);
  CHECK(stats.error_rate < 2.0F / 32);
}

TEST_CASE_METHOD(Fixture, "feedback counts sessions that are quiet until they stir", "[balance]") {
  feedback::becameQuiet(backend);
  feedback::becameQuiet(backend);
  feedback::stirred(backend);
  CHECK(stats.quiet == 1);
}
