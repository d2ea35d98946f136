// SPDX-License-Identifier: MIT
//
// A numeric IPv4 or IPv6 address with a port.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lemonade {

/// A socket address; a plain value.
class Address {
 public:
  Address() noexcept = default;
  Address(const sockaddr* address, socklen_t size) noexcept;

  /// Parses "10.0.1.10:8080" and "[2001:db8::1]:80"; nothing for anything else, names included.
  static std::optional<Address> parse(std::string_view text);
  /// From a numeric host without brackets.
  static std::optional<Address> parse(const std::string& host, std::uint16_t port);

  const sockaddr* get() const noexcept { return &storage_.any; }
  socklen_t size() const noexcept;
  int family() const noexcept { return storage_.any.sa_family; }
  std::uint16_t port() const noexcept;
  void setPort(std::uint16_t port) noexcept;
  /// As parse() takes it.
  std::string text() const;

  friend bool operator==(const Address& a, const Address& b) noexcept;
  /// IPv4 before IPv6, then by value.
  friend std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept;

 private:
  union Storage {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  Storage storage_{.v6 = {}};
};

}  // namespace lemonade
