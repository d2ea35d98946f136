// SPDX-License-Identifier: MIT
#include "config/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

namespace lemonade::config {

namespace {

constexpr std::string_view kUnix = "unix";
constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/// The first `bits` bits of both are the same.
bool agree(const std::uint8_t* a, const std::uint8_t* b, unsigned bits) noexcept {
  const unsigned whole = bits / 8;
  if (std::memcmp(a, b, whole) != 0) return false;
  const auto rest = static_cast<std::uint8_t>(0xff00 >> (bits % 8));
  return bits % 8 == 0 || ((a[whole] ^ b[whole]) & rest) == 0;
}

}  // namespace

Result<Network> Network::parse(std::string_view text) {
  Network network;
  if (text == kUnix) {
    network.family_ = AF_UNIX;
    return network;
  }
  const auto slash = text.find('/');
  const std::string host(text.substr(0, slash));
  network.family_ = host.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (host.find('\0') != std::string::npos || ::inet_pton(network.family_, host.c_str(), network.host_.data()) != 1)
    return Error{"give a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", one address, or \"unix\""};
  const unsigned most = network.family_ == AF_INET ? 32 : 128;
  network.prefix_ = most;
  if (slash == std::string_view::npos) return network;
  const auto digits = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), network.prefix_);
  if (error != std::errc() || end != digits.data() + digits.size() || network.prefix_ > most)
    return Error{"give a length of the prefix from 0 to " + std::to_string(most) + " behind the '/'"};
  Network whole = network;
  for (unsigned bit = network.prefix_; bit < most; ++bit)
    whole.host_[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> (bit % 8)));
  if (whole != network) return Error{"bits beyond the prefix are set; write \"" + whole.text() + "\""};
  return network;
}

bool Network::contains(const sockaddr* address) const noexcept {
  if (address->sa_family == AF_UNIX) return family_ == AF_UNIX;
  if (address->sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
    return family_ == AF_INET && agree(host_.data(), reinterpret_cast<const std::uint8_t*>(&v4), prefix_);
  }
  if (address->sa_family != AF_INET6) return false;
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr.s6_addr;
  const bool is_mapped = std::memcmp(v6, kMapped.data(), kMapped.size()) == 0;
  if (family_ == AF_INET) return is_mapped && agree(host_.data(), v6 + kMapped.size(), prefix_);
  return family_ == AF_INET6 && agree(host_.data(), v6, prefix_);
}

std::string Network::text() const {
  if (family_ == AF_UNIX) return std::string(kUnix);
  char host[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(family_, host_.data(), host, sizeof(host));
  return std::string(host) + "/" + std::to_string(prefix_);
}

}  // namespace lemonade::config
