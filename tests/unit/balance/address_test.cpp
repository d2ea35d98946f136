// SPDX-License-Identifier: MIT
#include "balance/address.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
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
  foreign.sa_family = AF_NETLINK;
  CHECK(Address(&foreign, sizeof(foreign)) == Address());
  const auto path = *Address::parse("unix:/run/a.sock");
  CHECK(Address(path.get(), sizeof(sa_family_t) - 1) == Address());
  CHECK(Address(path.get(), sizeof(sockaddr_un) + 1) == Address());
}

TEST_CASE("Address::parse and text agree on Unix sockets", "[balance][address]") {
  const auto longest = std::string(Address::kLongestUnixName, 'x');
  const auto text = GENERATE_COPY(as<std::string>{}, "unix:/run/a.sock", "unix:/a", "unix:@a", "unix:@lemonade/pg",
                                  "unix:/with space", "unix:/a:80", "unix:/" + longest.substr(1), "unix:@" + longest);
  CAPTURE(text);
  const auto address = Address::parse(text);
  REQUIRE(address);
  CHECK(address->isUnix());
  CHECK(address->text() == text);
  CHECK(address->port() == 0);
  CHECK(*address == Address(address->get(), address->size()));
  CHECK(*address == Address::parse(text, 80));
  CHECK(address->path() == (text[5] == '/' ? text.substr(5) : ""));
}

TEST_CASE("Address::isWildcard is true of 0.0.0.0 and ::", "[balance][address]") {
  for (const auto* text : {"0.0.0.0:0", "0.0.0.0:80", "[::]:80"}) CHECK(Address::parse(text)->isWildcard());
  for (const auto* text : {"0.0.0.1:80", "127.0.0.1:0", "[::1]:80", "[::ffff:0.0.0.0]:80", "unix:/a"})
    CHECK_FALSE(Address::parse(text)->isWildcard());
}

TEST_CASE("Address::parse refuses what the kernel would cut short or take for another socket", "[balance][address]") {
  using namespace std::string_literals;
  const auto longest = std::string(Address::kLongestUnixName, 'x');
  const auto text =
      GENERATE_COPY(as<std::string>{}, "unix:", "unix:/", "unix:@", "unix:relative", "unix:./a", "unix:/" + longest,
                    "unix:@" + longest + "x", "unix:/a\0b"s, "unix:@a\0b"s, "UNIX:/a", "/run/a.sock", "@a");
  CAPTURE(text);
  CHECK_FALSE(Address::parse(text));
}

TEST_CASE("Address of a Unix socket that listens is as the kernel gives it", "[balance][address]") {
  const auto asked = *Address::parse("unix:@lemonade-address-test-" + std::to_string(::getpid()));
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(fd, asked.get(), asked.size()) == 0);
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) == 0);
  CHECK(Address(reinterpret_cast<const sockaddr*>(&bound), size) == asked);
  ::close(fd);
}

TEST_CASE("Address of a Unix socket without a name is of its family and has no path", "[balance][address]") {
  sockaddr_un unnamed{};
  unnamed.sun_family = AF_UNIX;
  const Address address(reinterpret_cast<const sockaddr*>(&unnamed), sizeof(sa_family_t));
  CHECK(address.isUnix());
  CHECK(address.text() == "unix:");
  CHECK(address.path().empty());
  CHECK_FALSE(address == Address());
  CHECK_FALSE(address == *Address::parse("unix:/a"));
}

TEST_CASE("Address sorts IPv4 first, Unix sockets last, and then by value", "[balance][address]") {
  const std::vector<std::string> sorted = {"2.0.0.1:80", "10.0.0.1:79",      "10.0.0.1:80",      "10.0.0.2:1",
                                           "[::1]:80",   "[2001:db8::1]:80", "[2001:db8::1]:81", "unix:@a",
                                           "unix:/a",    "unix:/ab",         "unix:/b"};
  std::vector<Address> addresses;
  for (const auto& text : sorted) addresses.push_back(*Address::parse(text));
  std::rotate(addresses.begin(), addresses.begin() + 3, addresses.end());
  std::sort(addresses.begin(), addresses.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) CHECK(addresses[i].text() == sorted[i]);
  CHECK_FALSE(addresses[0] == addresses[1]);
}
