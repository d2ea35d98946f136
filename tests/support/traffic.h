// SPDX-License-Identifier: MIT
//
// Virtual traffic for a strategy: connections arrive at a steady rate, each asks one thing and closes on the answer,
// and the live numbers follow as the host would write them. A backend is a function of time, or hangs, or fails.
#pragma once

#include "support/strategy_fixture.h"

#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace lemonade::test {

constexpr std::uint64_t kMicrosecond = 1'000;
constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;

/// How one backend behaves.
struct Behaviour {
  std::uint64_t answers_after_ns = 5 * kMillisecond;
  bool hangs = false;  ///< accepts and never answers; clients give up after 5 s
  bool fails = false;  ///< resets the session instead of answering
};

class Traffic {
 public:
  /// One behaviour for each backend; may be changed while the traffic runs.
  Traffic(StrategyFixture& fixture, std::vector<Behaviour> behaviours)
      : backends(std::move(behaviours)), fixture_(fixture) {}

  /// Lets connections arrive every `interval_ns` for `duration_ns`; returns how many each backend was given.
  std::vector<std::size_t> run(std::uint64_t duration_ns, std::uint64_t interval_ns) {
    std::vector<std::size_t> given(backends.size());
    const std::uint64_t end = fixture_.now() + duration_ns;
    for (std::uint64_t arrival = fixture_.now(); arrival < end; arrival += interval_ns) {
      finishUntil(arrival);
      const std::uint32_t index = fixture_.pick();
      if (index >= given.size()) continue;
      ++given[index];
      begin(index);
    }
    finishUntil(end);
    return given;
  }

  std::vector<Behaviour> backends;

 private:
  struct Session {
    std::uint64_t ends_at;
    std::uint64_t began_at;
    std::uint32_t index;
    bool hangs, fails;
    bool operator>(const Session& other) const { return ends_at > other.ends_at; }
  };

  void begin(std::uint32_t index) {
    const auto& backend = backends[index];
    fixture_.open(index);
    fixture_.ask(index);
    const std::uint64_t takes = backend.hangs ? 5 * kSecond : backend.answers_after_ns;
    sessions_.push({fixture_.now() + takes, fixture_.now(), index, backend.hangs, backend.fails});
  }

  void finishUntil(std::uint64_t when) {
    while (!sessions_.empty() && sessions_.top().ends_at <= when) {
      const Session session = sessions_.top();
      sessions_.pop();
      fixture_.advance(session.ends_at - fixture_.now());
      fixture_.close(session.index);
      if (session.hangs || session.fails) {
        fixture_.drop(session.index, session.began_at);
      } else {
        fixture_.answer(session.index, session.began_at);
        fixture_.succeed(session.index);
      }
      if (session.fails) fixture_.fail(session.index);
    }
    fixture_.advance(when - fixture_.now());
  }

  StrategyFixture& fixture_;
  std::priority_queue<Session, std::vector<Session>, std::greater<>> sessions_;
};

}  // namespace lemonade::test
