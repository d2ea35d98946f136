// SPDX-License-Identifier: MIT
#include "balance/usable.h"

#include "base/fd.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace lemonade {
namespace {

const in_addr& ipv4Of(const Address& address) { return reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr; }
const in6_addr& ipv6Of(const Address& address) {
  return reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr;
}

bool isOfOneMachine(const Address& address) {
  if (address.family() == AF_INET) {
    const auto bits = ntohl(ipv4Of(address).s_addr);
    const bool this_network = bits >> 24 == 0;
    const bool multicast_or_reserved = bits >> 28 >= 14;  // 224.0.0.0 and above, 255.255.255.255 included
    return !this_network && !multicast_or_reserved;
  }
  const auto& bits = ipv6Of(address);
  return address.family() == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&bits) && !IN6_IS_ADDR_MULTICAST(&bits);
}

Address asIpv4(const Address& address) {
  if (address.family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&ipv6Of(address))) return address;
  sockaddr_in ipv4{};
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(address.port());
  std::memcpy(&ipv4.sin_addr, ipv6Of(address).s6_addr + 12, sizeof(ipv4.sin_addr));
  return {reinterpret_cast<const sockaddr*>(&ipv4), sizeof(ipv4)};
}

class Sieve {
 public:
  explicit Sieve(std::vector<Address>& addresses) : addresses_(addresses) {}

  template <class Out>
  void leaveOut(const std::string& what, const std::string& why, Out out) {
    const auto count = std::erase_if(addresses_, out);
    if (count != 0) add(std::to_string(count) + " " + what + (count == 1 ? " address, " : " addresses, ") + why);
  }
  void add(const std::string& line) { said_ += (said_.empty() ? "" : "; ") + line; }
  const std::string& said() const { return said_; }

 private:
  std::vector<Address>& addresses_;
  std::string said_;
};

}  // namespace

bool hasRoute(const Address& address) noexcept {
  auto with_port = address;
  with_port.setPort(9);  // any; connecting a datagram socket looks for a route and sends nothing
  const Fd socket(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return errno != EAFNOSUPPORT;
  return ::connect(socket.get(), with_port.get(), with_port.size()) == 0;
}

Usable usable(std::vector<Address> addresses) {
  std::transform(addresses.begin(), addresses.end(), addresses.begin(), asIpv4);
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  Sieve sieve(addresses);
  sieve.leaveOut("unfit", "such as 0.0.0.0, which no backend can have",
                 [](const auto& one) { return !isOfOneMachine(one); });
  if (addresses.size() > kMostAddresses) {
    sieve.add(std::to_string(addresses.size() - kMostAddresses) + " of " + std::to_string(addresses.size()) +
              " addresses, of which no more than " + std::to_string(kMostAddresses) + " are used");
    addresses.resize(kMostAddresses);
  }
  const auto reached = [&](int family) {
    return std::any_of(addresses.begin(), addresses.end(),
                       [&](const auto& one) { return one.family() == family && hasRoute(one); });
  };
  const bool ipv4 = reached(AF_INET), ipv6 = reached(AF_INET6);
  if (ipv4 && !ipv6)
    sieve.leaveOut("IPv6", "to which this machine has no route",
                   [](const auto& one) { return one.family() == AF_INET6; });
  if (ipv6 && !ipv4)
    sieve.leaveOut("IPv4", "to which this machine has no route",
                   [](const auto& one) { return one.family() == AF_INET; });
  return {std::move(addresses), sieve.said()};
}

}  // namespace lemonade
