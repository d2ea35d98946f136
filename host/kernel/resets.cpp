// SPDX-License-Identifier: MIT
#include "kernel/resets.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

namespace lemonade::kernel {
namespace {

constexpr std::uint8_t kHops = 64;

/// A segment of TCP with one byte, which is 0.
struct Probe {
  tcphdr tcp;
  std::uint8_t byte;
};
constexpr std::size_t kProbeSize = sizeof(tcphdr) + 1;  // without what pads the struct

template <class IpHeader>
struct ProbePacket {
  IpHeader ip;
  Probe probe;

  static constexpr std::size_t kSize = sizeof(IpHeader) + kProbeSize;
};
using Ipv4Probe = ProbePacket<iphdr>;
using Ipv6Probe = ProbePacket<ip6_hdr>;

Error rawError(const char* doing, int error) {
  const std::string cannot = std::string("cannot ") + doing + ": ";
  if (error == EPERM || error == EACCES)
    return {cannot +
            "CAP_NET_RAW or CAP_NET_ADMIN is missing; run as root, or give the process both (systemd: "
            "AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN)"};
  return {cannot + std::strerror(error)};
}

Result<Fd> openRaw(int family, std::uint32_t mark) {
  // IPPROTO_RAW receives nothing, and takes packets with their IP header.
  Fd fd(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
  if (!fd && family == AF_INET6 && errno == EAFNOSUPPORT) return fd;
  if (!fd) return rawError("open a raw socket", errno);
  const int on = 1;
  const int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  if (::setsockopt(fd.get(), level, family == AF_INET ? IP_HDRINCL : IPV6_HDRINCL, &on, sizeof(on)) != 0)
    return rawError("send packets with their headers", errno);
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) return rawError("mark packets", errno);
  return fd;
}

std::uint32_t randomNumber() noexcept {
  std::uint32_t number = 0;
  // That no numbers are random is no harm: any wrong number does.
  if (::getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number)) number = 0x5bd1e995;
  return number;
}

/// The Internet checksum, going on from an earlier sum.
std::uint32_t addWords(const void* bytes, std::size_t size, std::uint32_t sum) noexcept {
  const auto* const at = static_cast<const std::uint8_t*>(bytes);
  for (std::size_t i = 0; i + 1 < size; i += 2) sum += static_cast<std::uint32_t>(at[i] << 8 | at[i + 1]);
  return sum;
}

std::uint16_t folded(std::uint32_t sum) noexcept {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

/// An ACK with that sequence number, and its checksum.
Probe makeProbe(const Tuple& tuple, std::uint32_t sequence) noexcept {
  Probe probe{};
  tcphdr& tcp = probe.tcp;
  tcp.th_sport = htons(tuple.source_port);
  tcp.th_dport = htons(tuple.destination_port);
  tcp.th_seq = htonl(sequence);
  tcp.th_ack = htonl(randomNumber());
  tcp.th_off = sizeof(tcphdr) / 4;
  tcp.th_flags = TH_ACK;
  // Hosts of IPv4 are followed by zeros, which add nothing, as the byte does.
  std::uint32_t sum = IPPROTO_TCP + kProbeSize;
  sum = addWords(tuple.source_host.data(), tuple.source_host.size(), sum);
  sum = addWords(tuple.destination_host.data(), tuple.destination_host.size(), sum);
  tcp.th_sum = folded(addWords(&tcp, sizeof(tcp), sum));
  return probe;
}

void sendIpv4(int fd, const Tuple& tuple, std::uint32_t sequence) noexcept {
  Ipv4Probe packet{};
  packet.ip.version = 4;
  packet.ip.ihl = sizeof(iphdr) / 4;
  packet.ip.ttl = kHops;
  packet.ip.protocol = IPPROTO_TCP;
  std::memcpy(&packet.ip.saddr, tuple.source_host.data(), sizeof(packet.ip.saddr));
  std::memcpy(&packet.ip.daddr, tuple.destination_host.data(), sizeof(packet.ip.daddr));
  packet.probe = makeProbe(tuple, sequence);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  std::memcpy(&to.sin_addr, tuple.destination_host.data(), sizeof(to.sin_addr));
  // The kernel fills in the length and the checksum of the IP header.
  ::sendto(fd, &packet, Ipv4Probe::kSize, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
}

void sendIpv6(int fd, const Tuple& tuple, std::uint32_t sequence) noexcept {
  Ipv6Probe packet{};
  packet.ip.ip6_flow = htonl(6u << 28);
  packet.ip.ip6_plen = htons(kProbeSize);
  packet.ip.ip6_nxt = IPPROTO_TCP;
  packet.ip.ip6_hlim = kHops;
  std::memcpy(&packet.ip.ip6_src, tuple.source_host.data(), sizeof(packet.ip.ip6_src));
  std::memcpy(&packet.ip.ip6_dst, tuple.destination_host.data(), sizeof(packet.ip.ip6_dst));
  packet.probe = makeProbe(tuple, sequence);
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  std::memcpy(&to.sin6_addr, tuple.destination_host.data(), sizeof(to.sin6_addr));
  ::sendto(fd, &packet, Ipv6Probe::kSize, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
}

}  // namespace

Result<Resets> Resets::open(std::uint32_t mark) {
  auto ipv4 = openRaw(AF_INET, mark);
  if (!ipv4) return std::move(ipv4).error();
  auto ipv6 = openRaw(AF_INET6, mark);
  if (!ipv6) return std::move(ipv6).error();
  return Resets(std::move(ipv4).value(), std::move(ipv6).value());
}

void Resets::provoke(const Tuple& from_to) noexcept {
  // A window is less than a quarter of all numbers: of two that are half of them apart, one is outside.
  constexpr std::uint32_t kHalf = 1u << 31;
  const std::uint32_t sequence = randomNumber();
  for (const auto number : {sequence, sequence + kHalf}) {
    if (from_to.family == AF_INET) sendIpv4(ipv4_.get(), from_to, number);
    if (from_to.family == AF_INET6 && ipv6_) sendIpv6(ipv6_.get(), from_to, number);
  }
}

}  // namespace lemonade::kernel
