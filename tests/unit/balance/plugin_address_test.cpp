// SPDX-License-Identifier: MIT
#include "balance/plugin_address.h"

#include <lemonade/strategy.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>

namespace lemonade {
namespace {

struct Written {
  explicit Written(const Address& address) { family = writeAddress(address, bytes); }

  bool holds(const std::array<std::uint8_t, 16>& expected) const {
    return std::equal(expected.begin(), expected.end(), bytes);
  }

  std::uint8_t bytes[16] = {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};  // as an address before may have left them
  std::uint32_t family = 0;
};

}  // namespace

TEST_CASE("writeAddress maps IPv4 into IPv6 and says what it was", "[balance][address]") {
  const Written written(*Address::parse("198.51.100.7:443"));
  CHECK(written.family == LEMONADE_FAMILY_IPV4);
  CHECK(written.holds({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7}));
}

TEST_CASE("writeAddress writes IPv6 as it is", "[balance][address]") {
  const Written written(*Address::parse("[2001:db8::1]:443"));
  CHECK(written.family == LEMONADE_FAMILY_IPV6);
  CHECK(written.holds({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
}

TEST_CASE("writeAddress writes zero for a Unix socket and for no address", "[balance][address]") {
  const Written named(*Address::parse("unix:/run/a.sock"));
  CHECK(named.family == LEMONADE_FAMILY_UNIX);
  CHECK(named.holds({}));
  const Written none{Address()};
  CHECK(none.family == 0);
  CHECK(none.holds({}));
}

}  // namespace lemonade
