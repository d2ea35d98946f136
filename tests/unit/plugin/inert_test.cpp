// SPDX-License-Identifier: MIT
#include "plugin/inert.h"

#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

#include <catch2/catch.hpp>

namespace lemonade::plugin {

TEST_CASE("An inert instance says whose place it takes and is broken from the start") {
  const auto inert = makeInert<lemonade_metrics_sink_t>({"com.example.bad", "2.0.0", "/plugins/bad.so", 0, "aaaa"});
  CHECK(inert.info().id == "com.example.bad");
  CHECK(inert.info().hash == "aaaa");
  CHECK(inert.guard().broken());
  CHECK(inert.guard().why() == FaultKind::kDeath);
  CHECK(inert.table().struct_size == sizeof(lemonade_metrics_sink_t));
  bool called = false;
  CHECK_FALSE(inert.guard().call(Function::kFlush, [&] { called = true; }));
  CHECK_FALSE(called);
}

TEST_CASE("What cannot be named in the trace is inside of nothing, and an offset is of the own image alone") {
  static const int in_here = 0;
  const Guard nameless({"com.example.test", "1.0.0", "", 1}, &in_here);
  CHECK(nameless.insideOf(Function::kPick) == 0);
  const Guard named({"com.example.test", "1.0.0", "", 1, "bbbb"}, &in_here);
  const auto inside = named.insideOf(Function::kPick);
  CHECK(fault_trace::pluginOf(inside) != 0);
  CHECK(fault_trace::functionOf(inside) == static_cast<std::uint8_t>(Function::kPick));
  REQUIRE(named.offsetOf(&in_here));
  CHECK(*named.offsetOf(&in_here) < 1'000'000'000);
  CHECK_FALSE(named.offsetOf(nullptr));
  const int on_the_stack = 0;
  CHECK_FALSE(named.offsetOf(&on_the_stack));
  CHECK_FALSE(Guard().offsetOf(&in_here));
}

}  // namespace lemonade::plugin
