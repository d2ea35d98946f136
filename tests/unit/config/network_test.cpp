// SPDX-License-Identifier: MIT
#include "config/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <catch2/catch.hpp>

#include <string>

using lemonade::config::Network;

namespace {

bool contains(const std::string& network, const std::string& host) {
  sockaddr_storage address{};
  address.ss_family = host.empty() ? AF_UNIX : host.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (address.ss_family == AF_INET)
    REQUIRE(::inet_pton(AF_INET, host.c_str(), &reinterpret_cast<sockaddr_in&>(address).sin_addr) == 1);
  if (address.ss_family == AF_INET6)
    REQUIRE(::inet_pton(AF_INET6, host.c_str(), &reinterpret_cast<sockaddr_in6&>(address).sin6_addr) == 1);
  return Network::parse(network).value().contains(reinterpret_cast<const sockaddr*>(&address));
}

}  // namespace

TEST_CASE("Network contains the addresses of its prefix and no others", "[config][network]") {
  CHECK(contains("10.0.0.0/8", "10.255.0.1"));
  CHECK_FALSE(contains("10.0.0.0/8", "11.0.0.1"));
  CHECK(contains("10.1.2.128/25", "10.1.2.200"));
  CHECK_FALSE(contains("10.1.2.128/25", "10.1.2.127"));
  CHECK(contains("10.1.2.3", "10.1.2.3"));
  CHECK_FALSE(contains("10.1.2.3", "10.1.2.4"));
  CHECK(contains("0.0.0.0/0", "192.0.2.1"));
  CHECK_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
  CHECK(contains("2001:db8::/33", "2001:db8:7fff::1"));
  CHECK_FALSE(contains("2001:db8::/33", "2001:db8:8000::1"));
  CHECK(contains("::/0", "2001:db8::1"));
  CHECK_FALSE(contains("::/0", "192.0.2.1"));
}

TEST_CASE("Network takes an IPv4 address in the form of IPv6 for IPv4", "[config][network]") {
  CHECK(contains("10.0.0.0/8", "::ffff:10.0.0.1"));
  CHECK_FALSE(contains("10.0.0.0/8", "::ffff:11.0.0.1"));
}

TEST_CASE("Network called unix is whoever connects over a Unix socket", "[config][network]") {
  CHECK(contains("unix", ""));
  CHECK_FALSE(contains("unix", "127.0.0.1"));
  CHECK_FALSE(contains("0.0.0.0/0", ""));
}

TEST_CASE("Network is written as it is read", "[config][network]") {
  for (const auto* text : {"10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32", "::1/128", "unix"})
    CHECK(Network::parse(text).value().text() == text);
}

TEST_CASE("Network says what is wrong with a text", "[config][network]") {
  const auto messageOf = [](const std::string& text) { return Network::parse(text).error().message; };
  CHECK_THAT(messageOf("10.0.0.1/8"), Catch::Contains("write \"10.0.0.0/8\""));
  for (const auto* text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/-1", "10.0.0.0/8 "})
    CHECK_THAT(messageOf(text), Catch::Contains("from 0 to 32"));
  CHECK_THAT(messageOf("::/129"), Catch::Contains("from 0 to 128"));
  for (const auto* text : {"", "10.0.0/8", "localhost", "[::1]", "*", "Unix", "fe80::1%lo"})
    CHECK_THAT(messageOf(text), Catch::Contains("give a network"));
}
