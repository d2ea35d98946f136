// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

using namespace lemonade;
using log::Level;

TEST_CASE("parseLevels reads a level and those of components", "[log]") {
  const auto plain = log::parseLevels("debug");
  REQUIRE(plain.ok());
  CHECK(plain.value().all == Level::kDebug);
  const auto mixed = log::parseLevels(" warn , health=DEBUG,proxy = error");
  REQUIRE(mixed.ok());
  CHECK(mixed.value().all == Level::kWarning);
  CHECK(mixed.value().components.at("health") == Level::kDebug);
  CHECK(mixed.value().components.at("proxy") == Level::kError);
  CHECK(log::parseLevels("").value().all == Level::kInfo);
  CHECK(log::parseLevels("trace").value().all == Level::kDebug);
  CHECK(log::parseLevels("off").value().all == Level::kError);
}

TEST_CASE("parseLevels understands RUST_LOG of the earlier balancer", "[log]") {
  CHECK(log::parseLevels("lemonade_load_balancer=debug,info").value().all == Level::kDebug);
  const auto scoped = log::parseLevels("info,lemonade_load_balancer::health=debug");
  REQUIRE(scoped.ok());
  CHECK(scoped.value().all == Level::kInfo);
  CHECK(scoped.value().components.at("health") == Level::kDebug);
}

TEST_CASE("parseLevels names what it cannot read", "[log]") {
  CHECK_THAT(log::parseLevels("infoo").error().message, Catch::Contains("\"infoo\"") && Catch::Contains("use error"));
  CHECK_FALSE(log::parseLevels("health=").ok());
  CHECK_FALSE(log::parseLevels("=info").ok());
}

TEST_CASE("enabled follows start while other threads ask", "[log]") {
  const auto quiet = log::parseLevels("error").value();
  const auto loud = log::parseLevels("error,health=debug").value();
  std::atomic<bool> end = false;
  std::thread asking([&end] {
    while (!end) {
      const bool answer = log::enabled("health", Level::kDebug);
      static_cast<void>(answer);
      log::debug("nobody", "is never written");
    }
  });
  for (int i = 0; i < 100; ++i) {
    log::start(i % 2 == 0 ? quiet : loud, log::Format::kText);
    CHECK(log::enabled("health", Level::kDebug) == (i % 2 == 1));
    CHECK_FALSE(log::enabled("proxy", Level::kWarning));
    CHECK(log::enabled("proxy", Level::kError));
  }
  end = true;
  asking.join();
  log::stop();
  log::start({}, log::Format::kText);
  log::stop();
}
