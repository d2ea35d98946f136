// SPDX-License-Identifier: MIT
//
// A strategy on probation that gives no backend though there is one: how often it is believed.
#include "unit/balance/scripted_pool.h"

#include <catch2/catch.hpp>

#include <cstdint>

namespace lemonade {
namespace {

/// A strategy that gives a backend to every client but those that a test has it refuse, twenty picks to a refusal.
struct Refusing : ScriptedPool {
  explicit Refusing(std::uint32_t needs = 0) {
    other.needs = needs;
    other.pick = [this](const auto&, const auto& view, const void*) { return refuses ? answer : view.eligible[0]; };
    use(other, 8);
    pool.publish();
    pool.strategy()->believeOneIn(20);
  }
  ~Refusing() { pool.clear(); }

  Picked client() {
    pool.at(0).counters.clients.add();
    return pick();
  }

  std::uint32_t answer = LEMONADE_PICK_REJECT;
  bool refuses = true;
};

}  // namespace

TEST_CASE_METHOD(Refusing, "A first refusal on probation is believed and the next ones are not", "[balance]") {
  answer = GENERATE(LEMONADE_PICK_REJECT, LEMONADE_PICK_NONE);
  CHECK(client().what == (answer == LEMONADE_PICK_NONE ? Picked::What::kNone : Picked::What::kRejected));
  for (int i = 0; i < 50; ++i) {
    const auto picked = client();
    REQUIRE(picked.what == Picked::What::kBackend);
    CHECK(picked.declined);
    CHECK(picked.generation == 0);
    CHECK(picked.cookie == 0);
    CHECK_FALSE(picked.invalid);
    pool.release(*picked.backend);
  }
}

TEST_CASE_METHOD(Refusing, "Refusals that are rare are believed on probation", "[balance]") {
  for (int round = 0; round < 3; ++round) {
    refuses = true;
    CHECK(client().what == Picked::What::kRejected);
    refuses = false;
    for (int i = 0; i < 19; ++i) {
      const auto picked = client();
      REQUIRE(picked.what == Picked::What::kBackend);
      CHECK_FALSE(picked.declined);
      CHECK(picked.generation == 8);
    }
  }
}

TEST_CASE_METHOD(Refusing, "Every refusal is believed after probation", "[balance]") {
  pool.strategy()->believeOneIn(0);
  for (int i = 0; i < 3; ++i) CHECK(client().what == Picked::What::kRejected);
}

TEST_CASE("A strategy that refuses on purpose is believed on probation, too", "[balance]") {
  Refusing refusing(LEMONADE_NEED_REFUSALS);
  for (int i = 0; i < 3; ++i) {
    const auto picked = refusing.client();
    CHECK(picked.what == Picked::What::kRejected);
    CHECK(picked.declined);
  }
}

TEST_CASE_METHOD(Refusing, "A refusal where nobody is left for the client is no doubtful one", "[balance]") {
  answer = LEMONADE_PICK_NONE;
  Tried tried;
  for (const auto& backend : backends) tried.add(*backend);
  for (int i = 0; i < 3; ++i) {
    pool.at(0).counters.clients.add();
    const auto picked = pick(tried);
    CHECK(picked.what == Picked::What::kNone);
    CHECK_FALSE(picked.declined);
  }
}

}  // namespace lemonade
