// SPDX-License-Identifier: MIT
#include "balance/quiescence.h"

#include <catch2/catch.hpp>

using lemonade::Quiescence;

TEST_CASE("Quiescence frees an object only when every worker has moved on", "[balance]") {
  Quiescence quiescence(2);
  quiescence.setOnline(0);
  quiescence.setOnline(1);
  auto object = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = object;
  quiescence.retire(std::move(object));
  CHECK(quiescence.reclaim() == 1);
  quiescence.announce(0);
  CHECK(quiescence.reclaim() == 1);
  CHECK_FALSE(watched.expired());
  quiescence.announce(1);
  CHECK(quiescence.reclaim() == 0);
  CHECK(watched.expired());
}

TEST_CASE("Quiescence does not wait for workers that do not run", "[balance]") {
  Quiescence quiescence(2);
  quiescence.setOnline(0);
  quiescence.retire(std::make_shared<int>(1));
  quiescence.announce(0);
  CHECK(quiescence.reclaim() == 0);
  quiescence.retire(std::make_shared<int>(2));
  quiescence.setOffline(0);
  CHECK(quiescence.reclaim() == 0);
}

TEST_CASE("Quiescence keeps what was retired after a worker's last announcement", "[balance]") {
  Quiescence quiescence(1);
  quiescence.setOnline(0);
  quiescence.retire(std::make_shared<int>(1));
  quiescence.announce(0);
  quiescence.retire(std::make_shared<int>(2));
  CHECK(quiescence.reclaim() == 1);
}
