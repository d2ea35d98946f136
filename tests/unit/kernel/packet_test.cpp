// SPDX-License-Identifier: MIT
#include "kernel/packet.h"

#include "packets.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using lemonade::Address;
using lemonade::kernel::kPacketHeadSize;
using lemonade::kernel::Tuple;
using namespace lemonade::test;

namespace {

constexpr char kHopByHop = 0;
constexpr char kRouting = 43;
constexpr char kFragment = 44;
constexpr char kDestination = 60;

std::optional<Tuple> parse(const std::string& packet) { return lemonade::kernel::parseSyn(bytesOf(packet)); }

const Tuple kTuple4 = Tuple::between(*Address::parse("10.0.0.1:40000"), *Address::parse("10.0.0.2:9000"));
const Tuple kTuple6 = Tuple::between(*Address::parse("[2001:db8::1]:40000"), *Address::parse("[2001:db8::2]:9000"));

std::string withByte(std::string packet, std::size_t at, unsigned value) {
  packet[at] = static_cast<char>(value);
  return packet;
}

}  // namespace

TEST_CASE("parseSyn finds the tuple of a SYN over IPv4", "[kernel]") {
  CHECK(parse(ipv4(tcp())) == kTuple4);
  CHECK(parse(ipv4(tcp(kSyn, 40))) == kTuple4);
  CHECK(parse(ipv4(tcp(kSyn, 40), 40)) == kTuple4);
  CHECK(parse(ipv4(tcp() + "data of TCP Fast Open")) == kTuple4);
  // That the sender asks for ECN changes nothing, nor does what else is set.
  CHECK(parse(ipv4(tcp(kSyn | kEce | kCwr | kPush))) == kTuple4);
  // "Do not fragment" is no fragment.
  CHECK(parse(ipv4(tcp(), 0, 6, 0x4000)) == kTuple4);
}

TEST_CASE("parseSyn finds the tuple of a SYN over IPv6", "[kernel]") {
  CHECK(parse(ipv6(tcp())) == kTuple6);
  CHECK(parse(ipv6(tcp(kSyn, 40))) == kTuple6);
}

TEST_CASE("parseSyn goes through extension headers of IPv6", "[kernel]") {
  CHECK(parse(ipv6(extension(6), kHopByHop)) == std::nullopt);  // nothing follows
  CHECK(parse(ipv6(extension(6) + tcp(), kHopByHop)) == kTuple6);
  CHECK(parse(ipv6(extension(6, 2) + tcp(), kRouting)) == kTuple6);
  CHECK(parse(ipv6(extension(6) + tcp(), kDestination)) == kTuple6);
  const auto three = extension(kDestination) + extension(kRouting) + extension(kDestination);
  CHECK(parse(ipv6(three + extension(6) + tcp(), kHopByHop)) == kTuple6);
  CHECK(parse(ipv6(three + extension(kDestination) + extension(6) + tcp(), kHopByHop)) == std::nullopt);  // five
  CHECK(parse(ipv6(extension(kHopByHop) + extension(6) + tcp(), kDestination)) == std::nullopt);  // not the first
}

TEST_CASE("parseSyn wants SYN, and neither ACK nor RST nor FIN", "[kernel]") {
  for (const unsigned flags : {0u, unsigned{kAck}, unsigned{kFin}, unsigned{kRst}, unsigned{kSyn | kAck},
                               unsigned{kSyn | kRst}, unsigned{kSyn | kFin}, unsigned{kFin | kAck}, 0xffu}) {
    CHECK(parse(ipv4(tcp(flags))) == std::nullopt);
    CHECK(parse(ipv6(tcp(flags))) == std::nullopt);
  }
}

TEST_CASE("parseSyn refuses fragments", "[kernel]") {
  CHECK(parse(ipv4(tcp(), 0, 6, 0x2000)) == std::nullopt);  // the first of several
  CHECK(parse(ipv4(tcp(), 0, 6, 0x0001)) == std::nullopt);  // the last
  CHECK(parse(ipv6(extension(6) + tcp(), kFragment)) == std::nullopt);
}

TEST_CASE("parseSyn refuses what is no TCP", "[kernel]") {
  CHECK(parse("") == std::nullopt);
  CHECK(parse(ipv4(tcp(), 0, 17)) == std::nullopt);
  CHECK(parse(ipv6(tcp(), 17)) == std::nullopt);
  CHECK(parse(ipv6(extension(6) + tcp(), 51)) == std::nullopt);  // an authentication header
  for (const unsigned version : {0x05u, 0x15u, 0x55u, 0x75u, 0xf5u})
    CHECK(parse(withByte(ipv4(tcp()), 0, version)) == std::nullopt);
}

TEST_CASE("parseSyn refuses lengths that contradict each other", "[kernel]") {
  CHECK(parse(withByte(ipv4(tcp()), 0, 0x44)) == std::nullopt);        // an IP header of 16 bytes
  CHECK(parse(withByte(ipv4(tcp()), 0, 0x4f)) == std::nullopt);        // one that leaves no room
  CHECK(parse(withByte(ipv4(tcp()), 3, 39)) == std::nullopt);          // a packet too short for its headers
  CHECK(parse(withByte(ipv4(tcp()), 3, 10)) == std::nullopt);          // one shorter than the IP header
  CHECK(parse(withByte(ipv4(tcp()), 20 + 12, 0x40)) == std::nullopt);  // a TCP header of 16 bytes
  CHECK(parse(withByte(ipv4(tcp()), 20 + 12, 0x60)) == std::nullopt);  // one that goes beyond the packet
  CHECK(parse(withByte(ipv6(tcp()), 5, 19)) == std::nullopt);
  CHECK(parse(withByte(ipv6(tcp()), 5, 0)) == std::nullopt);  // a jumbogram, or nothing
  CHECK(parse(withByte(ipv6(extension(6) + tcp(), kRouting), 41, 255)) == std::nullopt);
}

TEST_CASE("parseSyn does not look beyond the packet, whatever the bytes are", "[kernel]") {
  const auto padded = withByte(ipv4(tcp()), 3, 39) + std::string(46, '\0');
  CHECK(parse(padded) == std::nullopt);
  CHECK(parse(ipv4(tcp()) + std::string(46, '\0')) == kTuple4);
}

TEST_CASE("parseSyn needs all headers, and no more of the packet", "[kernel]") {
  struct Example {
    std::string packet;
    std::size_t headers;
    Tuple tuple;
  };
  for (const auto& [packet, headers, tuple] :
       {Example{ipv4(tcp(kSyn, 40) + "data", 40), 80, kTuple4}, Example{ipv6(tcp(kSyn, 40) + "data"), 60, kTuple6},
        Example{ipv6(extension(kDestination) + extension(6, 1) + tcp(), kHopByHop), 84, kTuple6}}) {
    REQUIRE(headers <= kPacketHeadSize);
    for (std::size_t size = 0; size <= packet.size(); ++size) {
      // A copy of exactly that size, so that a sanitizer sees a read beyond its end.
      const std::vector<char> head(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
      const auto found = lemonade::kernel::parseSyn({reinterpret_cast<const std::byte*>(head.data()), head.size()});
      INFO(size << " of " << packet.size() << " bytes");
      CHECK(found == (size < headers ? std::nullopt : std::optional(tuple)));
    }
  }
}
