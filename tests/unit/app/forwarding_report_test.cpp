// SPDX-License-Identifier: MIT
#include "app/forwarding_report.h"

#include <catch2/catch.hpp>

using namespace lemonade::app;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

}  // namespace

TEST_CASE("A report of forwarding is there while the kernel forwards", "[app]") {
  ForwardingReport report;
  CHECK_FALSE(report.now());
  report.noteTable(true);  // of no table
  CHECK_FALSE(report.now());
  report.begin("lemonade", 19'534, 0x4c4d);
  const auto now = report.now();
  REQUIRE(now);
  CHECK(now->table == "lemonade");
  CHECK(now->queue == 19'534);
  CHECK(now->tag == 0x4c4d);
  CHECK_FALSE(now->up_to_date);
  CHECK_FALSE(now->asks(kSecond));
  report.noteTable(true);
  CHECK(report.now()->up_to_date);
  report.end();
  CHECK_FALSE(report.now());
}

TEST_CASE("A report says that the kernel asks for as long as the table heard of us", "[app]") {
  ForwardingReport report;
  report.begin("lemonade", 1, 1);
  report.noteHeard(5 * kSecond);
  CHECK(report.now()->asks(5 * kSecond));
  CHECK(report.now()->asks(8 * kSecond - 1));
  CHECK_FALSE(report.now()->asks(8 * kSecond));
  report.noteHeard(9 * kSecond);
  CHECK(report.now()->asks(10 * kSecond));
  report.noteHeard(0);
  CHECK_FALSE(report.now()->asks(10 * kSecond));
}
