// SPDX-License-Identifier: MIT
#include "kernel/marks.h"

#include <catch2/catch.hpp>
#include <set>

using namespace lemonade::kernel;

TEST_CASE("A mark says whose it is, the slot, and whether the client's address is kept", "[kernel]") {
  const auto mark = backendMark(0x4c4d, 0x1234, true);
  CHECK(mark == 0x4c4d9234);
  CHECK(tagOf(mark) == 0x4c4d);
  CHECK(slotOf(mark) == 0x1234);
  CHECK(keepsSource(mark));
  CHECK(!keepsSource(backendMark(0x4c4d, 0x1234, false)));
}

TEST_CASE("No mark of another meaning is a backend's", "[kernel]") {
  constexpr std::uint16_t kTag = 0x4c4d;
  const std::set<std::uint32_t> others = {refusalMark(kTag), resetMark(kTag), heartbeatMark(kTag)};
  CHECK(others.size() == 3);
  for (const auto mark : others) CHECK(!isBackendMark(mark, kTag));
  CHECK(!isBackendMark(0, kTag));
  CHECK(!isBackendMark(backendMark(0x4c4e, 1, false), kTag));
  for (const auto slot : {kFirstSlot, kLastSlot})
    for (const bool keep : {false, true}) CHECK(isBackendMark(backendMark(kTag, slot, keep), kTag));
}
