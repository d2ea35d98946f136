// SPDX-License-Identifier: MIT
#include "simulation/scenario_keys.h"

#include "config/values.h"

#include <array>
#include <utility>

namespace lemonade::config {

template <>
inline constexpr std::array kWords<sim::Action> = {"slow", "hang", "reset", "down", "up"};

}  // namespace lemonade::config

namespace lemonade::sim {

namespace {

using namespace std::chrono_literals;
using config::Form;
using config::Item;
using config::Value;

constexpr auto kLongest = 24h;
constexpr double kMostRate = 1'000'000;
constexpr double kMostFactor = 1'000;

template <class Target>
Value<Target> words(std::string Target::*member, const char* mend) {
  return config::valueOf<Target>("string", "not empty", Form::kText, member, [=](const Item& item, Target& target) {
    if (auto text = config::textOf(item, mend)) target.*member = std::move(*text);
  });
}

/// A key of one of the tables, which stands in the section of that name.
config::Key<Written> in(const char* section, config::Key<Written> key) {
  key.section = section;
  return key;
}

std::vector<config::Key<Written>> makeScenarioKeys() {
  using K = config::Key<Written>;
  using W = Written;
  return {
      K("title", words(&W::title, "give a few words"), "what happens", "what the table and the picture are called"),
      K("length", config::duration(&W::length, 1s, kLongest), "how long clients come", "how long clients come"),
      K("warm_up", config::duration(&W::warm_up, 0s, kLongest), "requests before it do not count",
        "requests that are due before it do not count"),
      K("load", config::number(&W::load, 0.001, 10), "share of what the backends can do",
        "the rate as a share of what the backends can do at their speeds; not beside `rate`"),
      K("rate", config::number(&W::rate, 0.001, kMostRate), "requests a second",
        "requests a second, instead of `load`"),
      K("work", config::duration(&W::work, 1us, 1h), "mean time of a request",
        "how long a request works at a backend of speed 1, on average"),
      K("work_variation", config::number(&W::work_variation, 0.01, 20), "how much it varies",
        "standard deviation of that time over its mean; the time is lognormal"),
      K("requests_at_once", config::integer(&W::requests_at_once, 1, 10'000), "of each backend",
        "how many requests a backend works on at once; the others wait there"),
      K("balancers", config::integer(&W::balancers, 1, 64), "that share nothing",
        "how many balancers, which know nothing of each other, clients come to"),
      K("checks", config::boolean(&W::checks), "health checks",
        "whether backends are checked, every 2 s, fall 3, rise 2"),
      in("sessions", K("rate", config::number(&W::session_rate, 0.001, kMostRate), "sessions a second",
                       "connections a second that ask many times, one request after the other")),
      in("sessions", K("requests", config::integer(&W::session_requests, 1, 1'000'000), "of each",
                       "how many requests each of them sends")),
      in("sessions", K("busy_share", config::number(&W::session_busy_share, 0, 1), "share that asks often",
                       "share of them that asks again after 20 ms; the others do after 500 ms")),
      in("crowd", K("from", config::duration(&W::crowd_from, 0s, kLongest), "a crowd comes", "when a crowd comes")),
      in("crowd", K("to", config::duration(&W::crowd_to, 0s, kLongest), "and goes", "when it has gone")),
      in("crowd", K("factor", config::number(&W::crowd_factor, 1, kMostFactor), "so many times the rate",
                    "so many times the rate, for as long")),
  };
}

std::vector<config::Key<WrittenBackend>> makeScenarioBackendKeys() {
  using K = config::Key<WrittenBackend>;
  using B = WrittenBackend;
  return {
      K("id", words(&B::id, "give the backend a name"), "unique", "what events and the report call it; unique"),
      K("speed", config::number(&B::speed, 1 / kMostFactor, kMostFactor), "1 is usual",
        "how fast it works; at 0.5 everything takes twice as long"),
      K("weight", config::integer(&B::weight, 1, 65'535), "for the strategy", "as the configuration would have it"),
      K("zone", config::zone(&B::zone), "where it runs", "as the configuration would have it"),
  };
}

std::vector<config::Key<WrittenEvent>> makeScenarioEventKeys() {
  using K = config::Key<WrittenEvent>;
  using E = WrittenEvent;
  return {
      K("at", config::duration(&E::at, 0s, kLongest), "since the start", "when, since the start"),
      K("backend", words(&E::backend, "give the id of a backend"), "its id", "the id of the backend"),
      K("does", config::choice(&E::does), "what it does",
        "`slow`: takes `factor` times as long as at its start; `hang`: accepts and never answers; `reset`: resets a "
        "share of new connections; `down`: is not there; `up`: does none of hang, reset and down any more"),
      K("factor", config::number(&E::factor, 1 / kMostFactor, kMostFactor), "of slow and reset",
        "of `slow`, where 1 ends it; of `reset` the share, where 1 is all"),
  };
}

}  // namespace

const std::vector<config::Key<Written>>& scenarioKeys() {
  static const auto keys = makeScenarioKeys();
  return keys;
}

const std::vector<config::Key<WrittenBackend>>& scenarioBackendKeys() {
  static const auto keys = makeScenarioBackendKeys();
  return keys;
}

const std::vector<config::Key<WrittenEvent>>& scenarioEventKeys() {
  static const auto keys = makeScenarioEventKeys();
  return keys;
}

}  // namespace lemonade::sim
