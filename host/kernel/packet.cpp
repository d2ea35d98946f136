// SPDX-License-Identifier: MIT
#include "kernel/packet.h"

#include <netinet/in.h>

namespace lemonade::kernel {
namespace {

constexpr std::size_t kIpv4HeaderSize = 20;
constexpr std::size_t kIpv6HeaderSize = 40;
constexpr std::size_t kTcpHeaderSize = 20;
constexpr int kMostExtensions = 4;

enum TcpFlag : unsigned { kFin = 0x01, kSyn = 0x02, kRst = 0x04, kAck = 0x10 };

/// The bytes of a packet from some header on: those that are here, and how many there are in the packet.
struct Rest {
  std::span<const std::byte> here;
  std::size_t whole;

  std::uint8_t byte(std::size_t at) const noexcept { return std::to_integer<std::uint8_t>(here[at]); }
  std::uint16_t word(std::size_t at) const noexcept { return static_cast<std::uint16_t>(byte(at) << 8 | byte(at + 1)); }
  bool holds(std::size_t size) const noexcept { return size <= here.size() && size <= whole; }
  /// What follows `size` bytes, which it holds.
  Rest after(std::size_t size) const noexcept { return {here.subspan(size), whole - size}; }
};

void copyHost(const Rest& from, std::size_t at, std::size_t size, Tuple::Host& to) noexcept {
  for (std::size_t i = 0; i < size; ++i) to[i] = from.byte(at + i);
}

/// Completes a tuple that has its hosts.
std::optional<Tuple> withPorts(Tuple tuple, const Rest& tcp) noexcept {
  if (!tcp.holds(kTcpHeaderSize)) return std::nullopt;
  const std::size_t header = std::size_t{4} * (tcp.byte(12) >> 4);
  if (header < kTcpHeaderSize || header > tcp.whole) return std::nullopt;
  if ((tcp.byte(13) & (kFin | kSyn | kRst | kAck)) != kSyn) return std::nullopt;
  tuple.source_port = tcp.word(0);
  tuple.destination_port = tcp.word(2);
  return tuple;
}

std::optional<Tuple> parseIpv4(const Rest& packet) noexcept {
  constexpr unsigned kMoreFragments = 0x2000;
  constexpr unsigned kFragmentOffset = 0x1fff;
  if (!packet.holds(kIpv4HeaderSize)) return std::nullopt;
  const std::size_t header = std::size_t{4} * (packet.byte(0) & 0x0f);
  const std::size_t whole = packet.word(2);
  if (header < kIpv4HeaderSize || !packet.holds(header) || whole < header) return std::nullopt;
  if ((packet.word(6) & (kMoreFragments | kFragmentOffset)) != 0 || packet.byte(9) != IPPROTO_TCP) return std::nullopt;
  Tuple tuple;
  tuple.family = AF_INET;
  copyHost(packet, 12, sizeof(in_addr), tuple.source_host);
  copyHost(packet, 16, sizeof(in_addr), tuple.destination_host);
  return withPorts(tuple, Rest{packet.here, whole}.after(header));
}

bool isExtension(std::uint8_t header) noexcept {
  return header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING || header == IPPROTO_DSTOPTS;
}

std::optional<Tuple> parseIpv6(const Rest& packet) noexcept {
  if (!packet.holds(kIpv6HeaderSize)) return std::nullopt;
  Tuple tuple;
  tuple.family = AF_INET6;
  copyHost(packet, 8, sizeof(in6_addr), tuple.source_host);
  copyHost(packet, 24, sizeof(in6_addr), tuple.destination_host);
  // A length of 0 is that of a jumbogram, or of a packet without payload.
  Rest rest = Rest{packet.here, kIpv6HeaderSize + packet.word(4)}.after(kIpv6HeaderSize);
  std::uint8_t next = packet.byte(6);
  for (int extensions = 0; isExtension(next); ++extensions) {
    // Hop-by-hop options come first or not at all.
    if (extensions == kMostExtensions || (next == IPPROTO_HOPOPTS && extensions != 0)) return std::nullopt;
    if (!rest.holds(2)) return std::nullopt;
    const std::size_t size = std::size_t{8} * (rest.byte(1) + 1u);
    if (!rest.holds(size)) return std::nullopt;
    next = rest.byte(0);
    rest = rest.after(size);
  }
  return next == IPPROTO_TCP ? withPorts(tuple, rest) : std::nullopt;
}

}  // namespace

std::optional<Tuple> parseSyn(std::span<const std::byte> packet) noexcept {
  if (packet.empty()) return std::nullopt;
  const Rest all{packet, packet.size()};
  switch (all.byte(0) >> 4) {
    case 4:
      return parseIpv4(all);
    case 6:
      return parseIpv6(all);
    default:
      return std::nullopt;
  }
}

}  // namespace lemonade::kernel
