// SPDX-License-Identifier: MIT
#include "balance/proxy_header.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace std::string_literals;
using lemonade::Address;
using lemonade::kLongestProxyHeader;
using lemonade::ProxyHeader;
using lemonade::ProxyHeaderBytes;
using lemonade::ProxyReading;
using lemonade::ProxyVersion;
using lemonade::ProxyVersions;
using lemonade::readProxyHeader;
using lemonade::writeLocalProxyHeader;
using lemonade::writeProxyHeader;
using What = ProxyReading::What;

namespace {

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string v2(const std::string& command_and_family, std::size_t length, const std::string& rest) {
  return kSignature + command_and_family + static_cast<char>(length >> 8) + static_cast<char>(length & 0xff) + rest;
}

const std::string kInetBlock = "\x0a\x00\x00\x01\x0a\x00\x00\x02\x1f\x90\x00\x50"s;  // 10.0.0.1:8080 10.0.0.2:80
const std::string kInet6Block = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01"s + "\x20\x01\x0d\xb8"s +
                                std::string(11, '\0') + "\x02\x1f\x90\x00\x50"s;

std::string unixBlock(std::string source, std::string destination) {
  source.resize(108);
  destination.resize(108);
  return source + destination;
}

ProxyHeader between(const std::string& source, const std::string& destination) {
  return {Address::parse(source).value(), Address::parse(destination).value()};
}

struct Example {
  std::string bytes;
  std::string source;  // "" where the header names none
  std::string destination;
};

std::vector<Example> examples() {
  return {
      {"PROXY TCP4 10.0.0.1 10.0.0.2 8080 80\r\n", "10.0.0.1:8080", "10.0.0.2:80"},
      {"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", "255.255.255.255:65535", "0.0.0.0:0"},
      {"PROXY TCP6 2001:DB8::1 ::ffff:10.0.0.1 8080 80\r\n", "[2001:db8::1]:8080", "[::ffff:10.0.0.1]:80"},
      {"PROXY UNKNOWN\r\n", "", ""},
      {"PROXY UNKNOWN whatever \x01\xff 1\r\n", "", ""},
      {v2("\x21\x11", 12, kInetBlock), "10.0.0.1:8080", "10.0.0.2:80"},
      {v2("\x21\x21", 36, kInet6Block), "[2001:db8::1]:8080", "[2001:db8::2]:80"},
      {v2("\x21\x31", 216, unixBlock("/run/client", "/run/lb")), "unix:/run/client", "unix:/run/lb"},
      {v2("\x21\x31", 216, unixBlock("", "\0abstract"s)), "unix:", "unix:@abstract"},
      {v2("\x21\x11", 19, kInetBlock + "\x04\x00\x04\0\0\0\0"s), "10.0.0.1:8080", "10.0.0.2:80"},
      {v2("\x20\0"s, 0, ""), "", ""},
      {v2("\x20\x11", 12, kInetBlock), "", ""},
      {v2("\x20\xff", 3, "abc"), "", ""},
      {v2("\x21\0"s, 0, ""), "", ""},
      {v2("\x21\x12", 12, kInetBlock), "", ""},
      {v2("\x21\x11", 4080, kInetBlock + std::string(4068, 'x')), "10.0.0.1:8080", "10.0.0.2:80"},
  };
}

void checkRead(const Example& example, const ProxyReading& reading) {
  REQUIRE(reading.what == What::kComplete);
  CHECK(reading.size == example.bytes.size());
  CHECK(reading.header.source.text() == example.source);
  CHECK(reading.header.destination.text() == example.destination);
}

}  // namespace

TEST_CASE("readProxyHeader reads both versions and leaves what follows", "[balance][proxy_header]") {
  for (const auto& example : examples()) {
    CAPTURE(example.bytes);
    checkRead(example, readProxyHeader(example.bytes, ProxyVersions::kBoth));
    checkRead(example, readProxyHeader(example.bytes + "GET / HTTP/1.1\r\n\r\n", ProxyVersions::kBoth));
    checkRead(example, readProxyHeader(example.bytes + example.bytes, ProxyVersions::kBoth));
  }
}

TEST_CASE("readProxyHeader takes every begin of a header for incomplete", "[balance][proxy_header]") {
  for (const auto& example : examples())
    for (std::size_t size = 0; size < example.bytes.size(); ++size) {
      CAPTURE(example.bytes, size);
      CHECK(readProxyHeader(example.bytes.substr(0, size), ProxyVersions::kBoth).what == What::kIncomplete);
    }
}

TEST_CASE("readProxyHeader refuses lines that are no header of version 1", "[balance][proxy_header]") {
  const auto line = GENERATE(
      as<std::string>{}, "GET / HTTP/1.1\r\n", "PROX TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
      "proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", " PROXY UNKNOWN\r\n", "PROXY\r\n", "PROXY \r\n", "PROXY  UNKNOWN\r\n",
      "PROXY UNKNOWNS\r\n", "PROXY UDP4 1 1 1 1\r\n", "PROXY TCP4\r\n", "PROXY TCP4 \r\n", "PROXY TCP4 1.1.1.1\r\n",
      "PROXY TCP4 1.1.1.1 1.1.1.1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
      "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n", "PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n",
      "PROXY TCP4 1.1.1.1\t1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n",
      "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 00\r\n",
      "PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 \r\n",
      "PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.256 1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n",
      "PROXY TCP4 ::1 ::1 1 1\r\n", "PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP6 ::1 1.1.1.1 1 1\r\n",
      "PROXY TCP6 fe80::1%lo ::1 1 1\r\n", "PROXY TCP6 [::1] ::1 1 1\r\n", "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 1\r\n",
      "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\r\n", "PROXY UNKNOWN\n",
      "PROXY UNKNOWN a\nb\r\n");
  CAPTURE(line);
  const auto reading = readProxyHeader(line, ProxyVersions::kBoth);
  CHECK(reading.what == What::kMalformed);
  CHECK(reading.flaw != nullptr);
}

TEST_CASE("readProxyHeader refuses a NUL byte in an address of version 1", "[balance][proxy_header]") {
  CHECK(readProxyHeader("PROXY TCP4 1.1.1.1\0 1.1.1.1 1 1\r\n"s, ProxyVersions::kBoth).what == What::kMalformed);
}

TEST_CASE("readProxyHeader takes 107 bytes of version 1 and no more", "[balance][proxy_header]") {
  const auto longest = "PROXY UNKNOWN " + std::string(91, 'f') + "\r\n";
  REQUIRE(longest.size() == lemonade::kLongestProxyV1);
  CHECK(readProxyHeader(longest, ProxyVersions::kBoth).what == What::kComplete);
  const auto longer = "PROXY UNKNOWN " + std::string(92, 'f') + "\r\n";
  CHECK(readProxyHeader(longer.substr(0, 106), ProxyVersions::kBoth).what == What::kIncomplete);
  CHECK(readProxyHeader(longer.substr(0, 107), ProxyVersions::kBoth).what == What::kMalformed);
  CHECK(readProxyHeader(longer, ProxyVersions::kBoth).what == What::kMalformed);
}

TEST_CASE("readProxyHeader refuses what version 2 forbids", "[balance][proxy_header]") {
  const auto bytes = GENERATE(
      as<std::string>{}, v2("\x11\x11", 12, kInetBlock), v2("\x31\x11", 12, kInetBlock), v2("\x22\x11", 12, kInetBlock),
      v2("\x2f\x11", 12, kInetBlock), v2("\x21\x41", 12, kInetBlock), v2("\x21\x13", 12, kInetBlock),
      v2("\x21\x11", 11, kInetBlock), v2("\x21\x21", 35, kInet6Block), v2("\x21\x31", 215, unixBlock("/a", "/b")),
      v2("\x21\x11", 4081, ""), v2("\x20\0"s, 65535, ""), "\r\n\r\n\0\r\nQUIT\r"s, "\r\n\r\n\r\n"s, "\n"s);
  CAPTURE(bytes);
  const auto reading = readProxyHeader(bytes, ProxyVersions::kBoth);
  CHECK(reading.what == What::kMalformed);
  CHECK(reading.flaw != nullptr);
}

TEST_CASE("readProxyHeader refuses what is no header at its first wrong byte", "[balance][proxy_header]") {
  CHECK(readProxyHeader("G", ProxyVersions::kBoth).what == What::kMalformed);
  CHECK(readProxyHeader("PROXZ", ProxyVersions::kBoth).what == What::kMalformed);
  CHECK(readProxyHeader("PROXY X", ProxyVersions::kBoth).what == What::kMalformed);
  CHECK(readProxyHeader("\r\n\r\n\1"s, ProxyVersions::kBoth).what == What::kMalformed);
  CHECK(readProxyHeader(kSignature + "\x41", ProxyVersions::kBoth).what == What::kMalformed);
}

TEST_CASE("readProxyHeader accepts only the versions it is told to", "[balance][proxy_header]") {
  const std::string first = "PROXY UNKNOWN\r\n", second = v2("\x20\0"s, 0, "");
  CHECK(readProxyHeader(first, ProxyVersions::kV1).what == What::kComplete);
  CHECK(readProxyHeader(second, ProxyVersions::kV2).what == What::kComplete);
  CHECK(readProxyHeader(first, ProxyVersions::kV2).what == What::kMalformed);
  CHECK(readProxyHeader(second, ProxyVersions::kV1).what == What::kMalformed);
  CHECK(readProxyHeader(first.substr(0, 1), ProxyVersions::kV2).what == What::kMalformed);
}

TEST_CASE("writeProxyHeader writes version 1 as the format has it", "[balance][proxy_header]") {
  const auto written = [](const ProxyHeader& header) {
    return std::string(writeProxyHeader(ProxyVersion::kV1, header).view());
  };
  CHECK(written(between("10.0.0.1:8080", "10.0.0.2:80")) == "PROXY TCP4 10.0.0.1 10.0.0.2 8080 80\r\n");
  CHECK(written(between("[2001:db8::1]:8080", "[::1]:80")) == "PROXY TCP6 2001:db8::1 ::1 8080 80\r\n");
  CHECK(written(between("10.0.0.1:8080", "[::1]:80")) == "PROXY TCP6 ::ffff:10.0.0.1 ::1 8080 80\r\n");
  CHECK(written(between("unix:/a", "unix:/b")) == "PROXY UNKNOWN\r\n");
  CHECK(written(between("10.0.0.1:8080", "unix:/b")) == "PROXY UNKNOWN\r\n");
  CHECK(written({}) == "PROXY UNKNOWN\r\n");
}

TEST_CASE("writeProxyHeader writes version 2 as the format has it", "[balance][proxy_header]") {
  const auto written = [](const ProxyHeader& header) {
    return std::string(writeProxyHeader(ProxyVersion::kV2, header).view());
  };
  CHECK(written(between("10.0.0.1:8080", "10.0.0.2:80")) == v2("\x21\x11", 12, kInetBlock));
  CHECK(written(between("[2001:db8::1]:8080", "[2001:db8::2]:80")) == v2("\x21\x21", 36, kInet6Block));
  CHECK(written(between("unix:/a", "unix:@b")) == v2("\x21\x31", 216, unixBlock("/a", "\0b"s)));
  CHECK(written(between("10.0.0.1:8080", "unix:/b")) == v2("\x21\0"s, 0, ""));
  CHECK(written({}) == v2("\x21\0"s, 0, ""));
}

TEST_CASE("readProxyHeader reads back what writeProxyHeader writes", "[balance][proxy_header]") {
  const auto version = GENERATE(ProxyVersion::kV1, ProxyVersion::kV2);
  const auto header = GENERATE(between("10.0.0.1:8080", "10.0.0.2:80"), between("[2001:db8::1]:1", "[::]:65535"),
                               between("255.255.255.255:65535", "0.0.0.0:0"));
  const auto bytes = writeProxyHeader(version, header);
  const auto reading = readProxyHeader(bytes.view(), ProxyVersions::kBoth);
  REQUIRE(reading.what == What::kComplete);
  CHECK(reading.size == bytes.view().size());
  CHECK(reading.header.source == header.source);
  CHECK(reading.header.destination == header.destination);
}

TEST_CASE("readProxyHeader reads back the longest names of Unix sockets", "[balance][proxy_header]") {
  const auto name = std::string(Address::kLongestUnixName - 1, 'x');
  const auto header = between("unix:/" + name, "unix:@x" + name);
  const auto bytes = writeProxyHeader(ProxyVersion::kV2, header);
  CHECK(bytes.view().size() == ProxyHeaderBytes::kCapacity);
  const auto reading = readProxyHeader(bytes.view(), ProxyVersions::kV2);
  REQUIRE(reading.what == What::kComplete);
  CHECK(reading.header.source == header.source);
  CHECK(reading.header.destination == header.destination);
}

TEST_CASE("writeLocalProxyHeader says LOCAL, or in version 1 the addresses of the connection",
          "[balance][proxy_header]") {
  const auto own = between("10.0.0.1:8080", "10.0.0.2:80");
  CHECK(std::string(writeLocalProxyHeader(ProxyVersion::kV2, own).view()) == v2("\x20\0"s, 0, ""));
  CHECK(std::string(writeLocalProxyHeader(ProxyVersion::kV1, own).view()) ==
        "PROXY TCP4 10.0.0.1 10.0.0.2 8080 80\r\n");
}
