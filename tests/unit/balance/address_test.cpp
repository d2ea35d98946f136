// SPDX-License-Identifier: MIT
#include "balance/address.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

using lemonade::Address;

TEST_CASE("Address::parse and text agree on numeric addresses", "[balance][address]") {
  const auto text = GENERATE(as<std::string>{}, "10.0.1.10:8080", "0.0.0.0:0", "255.255.255.255:65535",
                             "[2001:db8::1]:80", "[::]:1", "[::ffff:10.0.0.1]:443", "[fe80::1%1]:80");
  const auto address = Address::parse(text);
  REQUIRE(address);
  CHECK(address->text() == text);
  CHECK(*address == Address(address->get(), address->size()));
}

TEST_CASE("Address::parse fills family and port", "[balance][address]") {
  const auto v4 = Address::parse("10.0.1.10:8080");
  REQUIRE(v4);
  CHECK(v4->family() == AF_INET);
  CHECK(v4->port() == 8080);
  CHECK(v4->size() == sizeof(sockaddr_in));
  const auto v6 = Address::parse("2001:db8::1", 81);
  REQUIRE(v6);
  CHECK(v6->family() == AF_INET6);
  CHECK(v6->port() == 81);
  CHECK(v6->size() == sizeof(sockaddr_in6));
}

TEST_CASE("Address::parse takes the zone of a link-local address by name", "[balance][address]") {
  const auto address = Address::parse("[fe80::1%lo]:80");
  REQUIRE(address);
  CHECK(reinterpret_cast<const sockaddr_in6*>(address->get())->sin6_scope_id == 1);
  CHECK_FALSE(Address::parse("[fe80::1%no-such-interface]:80"));
}

TEST_CASE("Address::parse refuses everything else", "[balance][address]") {
  const auto text = GENERATE(as<std::string>{}, "", ":", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:65536",
                             "10.0.0.1:-1", "10.0.0.1:+1", "10.0.0.1: 80", "10.0.0.1:80 ", " 10.0.0.1:80", "10.0.0:80",
                             "127.1:80", "10.0.0.256:80", "[10.0.0.1]:80", "2001:db8::1:80", "[2001:db8::1]",
                             "[2001:db8::1:80", "2001:db8::1]:80", "[]:80", "[[::1]]:80", "[::1]x:80", "[::g]:80",
                             "[::1%]:80", "web-1:80", "localhost:80", "*:80");
  CAPTURE(text);
  CHECK_FALSE(Address::parse(text));
}

TEST_CASE("Address::parse refuses a NUL byte", "[balance][address]") {
  using namespace std::string_view_literals;
  for (const auto text : {"10.0.0.1\0:80"sv, "10.0.0.1\0x:80"sv, "[::1\0x]:80"sv, "[fe80::1%lo\0x]:80"sv})
    CHECK_FALSE(Address::parse(text));
}

TEST_CASE("Address without an address has no family and no text", "[balance][address]") {
  const Address none;
  CHECK(none.family() == AF_UNSPEC);
  CHECK(none.size() == 0);
  CHECK(none.port() == 0);
  CHECK(none.text().empty());
  CHECK(none == Address());
  CHECK_FALSE(none == *Address::parse("0.0.0.0:0"));
}

TEST_CASE("Address taken from a sockaddr that is too short or foreign is none", "[balance][address]") {
  const auto v6 = *Address::parse("[::1]:80");
  CHECK(Address(v6.get(), sizeof(sockaddr_in)) == Address());
  sockaddr foreign{};
  foreign.sa_family = AF_UNIX;
  CHECK(Address(&foreign, sizeof(foreign)) == Address());
}

TEST_CASE("Address sorts IPv4 first and then by value", "[balance][address]") {
  const std::vector<std::string> sorted = {"2.0.0.1:80", "10.0.0.1:79",      "10.0.0.1:80",     "10.0.0.2:1",
                                           "[::1]:80",   "[2001:db8::1]:80", "[2001:db8::1]:81"};
  std::vector<Address> addresses;
  for (const auto& text : sorted) addresses.push_back(*Address::parse(text));
  std::rotate(addresses.begin(), addresses.begin() + 3, addresses.end());
  std::sort(addresses.begin(), addresses.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) CHECK(addresses[i].text() == sorted[i]);
  CHECK_FALSE(addresses[0] == addresses[1]);
}
