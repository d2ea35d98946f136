// SPDX-License-Identifier: MIT
#include "balance/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <tuple>

namespace lemonade {
namespace {

std::optional<std::uint16_t> parsePort(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

/// The zone of a link-local address, by name ("eth0") or number; 0 where there is none such.
std::uint32_t parseZone(const std::string& text) {
  std::uint32_t zone = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), zone);
  if (error == std::errc() && end == text.data() + text.size()) return zone;
  return ::if_nametoindex(text.c_str());
}

constexpr std::size_t kBeforeUnixName = offsetof(sockaddr_un, sun_path);

/// Where a family stands among addresses that are sorted.
int rankOf(int family) noexcept { return family == AF_UNIX ? AF_MAX : family; }

}  // namespace

Address::Address(const sockaddr* address, socklen_t size) noexcept {
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    std::memcpy(&storage_.v4, address, sizeof(sockaddr_in));
  } else if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    std::memcpy(&storage_.v6, address, sizeof(sockaddr_in6));
  } else if (address->sa_family == AF_UNIX && size >= kBeforeUnixName && size <= sizeof(sockaddr_un)) {
    std::memcpy(&storage_.un.address, address, size);
    storage_.un.size = static_cast<std::uint16_t>(size);
  }
}

std::optional<Address> Address::parse(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) return parseUnix(text.substr(kUnixPrefix.size()));
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parsePort(text.substr(colon + 1));
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // Brackets and IPv6 go together: without them the port could not be told from the address.
  if (!port || bracketed != (host.find(':') != std::string_view::npos)) return std::nullopt;
  return parse(std::string(host), *port);
}

// The kernel counts the NUL that ends a path, and takes every byte of an abstract name, which begins with a NUL.
std::optional<Address> Address::parseUnix(std::string_view name) noexcept {
  const bool is_abstract = name.starts_with('@');
  const std::size_t longest = kLongestUnixName + (is_abstract ? 1 : 0);
  if ((!is_abstract && !name.starts_with('/')) || name.size() < 2 || name.size() > longest) return std::nullopt;
  if (name.find('\0') != std::string_view::npos) return std::nullopt;
  Address address;
  auto& un = address.storage_.un;
  un.address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), un.address.sun_path);
  if (is_abstract) un.address.sun_path[0] = '\0';
  un.size = static_cast<std::uint16_t>(kBeforeUnixName + name.size() + (is_abstract ? 0 : 1));
  return address;
}

std::optional<Address> Address::parse(const std::string& host, std::uint16_t port) {
  if (host.starts_with(kUnixPrefix)) return parse(std::string_view(host));
  Address address;
  if (host.find('\0') != std::string::npos) return std::nullopt;  // the system's functions stop there
  if (host.find(':') == std::string::npos) {
    if (::inet_pton(AF_INET, host.c_str(), &address.storage_.v4.sin_addr) != 1) return std::nullopt;
    address.storage_.v4.sin_family = AF_INET;
    address.storage_.v4.sin_port = htons(port);
    return address;
  }
  const auto percent = host.find('%');
  if (percent != std::string::npos) {
    address.storage_.v6.sin6_scope_id = parseZone(host.substr(percent + 1));
    if (address.storage_.v6.sin6_scope_id == 0) return std::nullopt;
  }
  if (::inet_pton(AF_INET6, host.substr(0, percent).c_str(), &address.storage_.v6.sin6_addr) != 1) return std::nullopt;
  address.storage_.v6.sin6_family = AF_INET6;
  address.storage_.v6.sin6_port = htons(port);
  return address;
}

socklen_t Address::size() const noexcept {
  switch (family()) {
    case AF_INET:
      return sizeof(sockaddr_in);
    case AF_INET6:
      return sizeof(sockaddr_in6);
    case AF_UNIX:
      return storage_.un.size;
    default:
      return 0;
  }
}

std::string_view Address::unixName() const noexcept {
  const auto& un = storage_.un;
  const std::string_view name(un.address.sun_path, un.size - kBeforeUnixName);
  return name.starts_with('\0') ? name : name.substr(0, name.find('\0'));
}

std::string_view Address::path() const noexcept {
  if (!isUnix()) return {};
  const auto name = unixName();
  return name.starts_with('\0') ? std::string_view() : name;
}

std::uint16_t Address::port() const noexcept {
  switch (family()) {
    case AF_INET:
      return ntohs(storage_.v4.sin_port);
    case AF_INET6:
      return ntohs(storage_.v6.sin6_port);
    default:
      return 0;
  }
}

void Address::setPort(std::uint16_t port) noexcept {
  if (family() == AF_INET) storage_.v4.sin_port = htons(port);
  if (family() == AF_INET6) storage_.v6.sin6_port = htons(port);
}

std::string Address::text() const {
  char host[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    ::inet_ntop(AF_INET, &storage_.v4.sin_addr, host, sizeof(host));
    return host + (":" + std::to_string(port()));
  }
  if (family() == AF_UNIX) {
    std::string name(unixName());
    std::replace(name.begin(), name.end(), '\0', '@');
    return std::string(kUnixPrefix) + name;
  }
  if (family() != AF_INET6) return {};
  ::inet_ntop(AF_INET6, &storage_.v6.sin6_addr, host, sizeof(host));
  const auto zone = storage_.v6.sin6_scope_id;
  return "[" + std::string(host) + (zone != 0 ? "%" + std::to_string(zone) : "") + "]:" + std::to_string(port());
}

bool Address::isWildcard() const noexcept {
  if (family() == AF_INET) return storage_.v4.sin_addr.s_addr == htonl(INADDR_ANY);
  return family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&storage_.v6.sin6_addr);
}

bool operator==(const Address& a, const Address& b) noexcept { return (a <=> b) == 0; }

std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept {
  if (a.family() != b.family()) return rankOf(a.family()) <=> rankOf(b.family());
  if (a.family() == AF_UNIX) return a.unixName() <=> b.unixName();
  if (a.family() == AF_INET) {
    const auto& x = a.storage_.v4;
    const auto& y = b.storage_.v4;
    return std::tuple(ntohl(x.sin_addr.s_addr), a.port()) <=> std::tuple(ntohl(y.sin_addr.s_addr), b.port());
  }
  const auto& x = a.storage_.v6;
  const auto& y = b.storage_.v6;
  const auto hosts = std::memcmp(&x.sin6_addr, &y.sin6_addr, sizeof(x.sin6_addr)) <=> 0;
  if (hosts != 0) return hosts;
  return std::tuple(x.sin6_scope_id, a.port()) <=> std::tuple(y.sin6_scope_id, b.port());
}

}  // namespace lemonade
