// SPDX-License-Identifier: MIT
#include "kernel/tuple.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <sys/random.h>

#include <bit>
#include <cstring>

namespace lemonade::kernel {
namespace {

struct SipKey {
  std::uint64_t k0;
  std::uint64_t k1;
};

SipKey drawSipKey() noexcept {
  // Where the kernel has no random numbers yet, the clock is better than a key that everybody knows.
  SipKey key{nowNs(), unixNs()};
  if (::getrandom(&key, sizeof(key), GRND_NONBLOCK) != sizeof(key)) key.k1 ^= nowNs() << 32;
  return key;
}

class SipHash13 {
 public:
  explicit SipHash13(const SipKey& key) noexcept
      : v0_(key.k0 ^ 0x736f6d6570736575),
        v1_(key.k1 ^ 0x646f72616e646f6d),
        v2_(key.k0 ^ 0x6c7967656e657261),
        v3_(key.k1 ^ 0x7465646279746573) {}

  void add(std::uint64_t word) noexcept {
    v3_ ^= word;
    round();
    v0_ ^= word;
  }

  std::uint64_t finish() noexcept {
    v2_ ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void round() noexcept {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }

  std::uint64_t v0_, v1_, v2_, v3_;
};

constexpr std::size_t kIpv4Size = sizeof(in_addr);

/// The host and the port of an address of the Internet.
void split(const Address& address, Tuple::Host& host, std::uint16_t& port) noexcept {
  port = address.port();
  if (address.family() == AF_INET)
    std::memcpy(host.data(), &reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr, kIpv4Size);
  else
    std::memcpy(host.data(), &reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr, host.size());
}

Address joined(std::uint16_t family, const Tuple::Host& host, std::uint16_t port) noexcept {
  if (family == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, host.data(), kIpv4Size);
    return Address(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4));
  }
  if (family != AF_INET6) return {};
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, host.data(), host.size());
  return Address(reinterpret_cast<const sockaddr*>(&v6), sizeof(v6));
}

void addHost(SipHash13& hash, const Tuple::Host& host) noexcept {
  std::uint64_t words[2];
  std::memcpy(words, host.data(), sizeof(words));
  hash.add(words[0]);
  hash.add(words[1]);
}

}  // namespace

Tuple Tuple::between(const Address& source, const Address& destination) noexcept {
  const int family = source.family();
  if (family != destination.family() || (family != AF_INET && family != AF_INET6)) return {};
  Tuple tuple;
  tuple.family = static_cast<std::uint16_t>(family);
  split(source, tuple.source_host, tuple.source_port);
  split(destination, tuple.destination_host, tuple.destination_port);
  return tuple;
}

Address Tuple::source() const noexcept { return joined(family, source_host, source_port); }

Address Tuple::destination() const noexcept { return joined(family, destination_host, destination_port); }

Tuple Tuple::reversed() const noexcept {
  return {destination_host, source_host, destination_port, source_port, family};
}

std::size_t TupleHash::operator()(const Tuple& tuple) const noexcept {
  static const SipKey key = drawSipKey();
  SipHash13 hash(key);
  addHost(hash, tuple.source_host);
  addHost(hash, tuple.destination_host);
  hash.add(std::uint64_t{tuple.family} << 32 | std::uint64_t{tuple.source_port} << 16 | tuple.destination_port);
  return static_cast<std::size_t>(hash.finish());
}

}  // namespace lemonade::kernel
