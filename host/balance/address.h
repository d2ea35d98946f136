// SPDX-License-Identifier: MIT
//
// The address of a socket: a numeric IPv4 or IPv6 address with a port, or the name of a Unix socket.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lemonade {

/// A socket address; a plain value of 112 bytes.
class Address {
 public:
  /// How the text of a Unix socket begins.
  static constexpr std::string_view kUnixPrefix = "unix:";
  /// The longest path, or abstract name without its '@', of a Unix socket in bytes.
  static constexpr std::size_t kLongestUnixName = sizeof(sockaddr_un::sun_path) - 1;

  Address() noexcept = default;
  /// From the kernel; of family AF_UNSPEC where the family is another or size too small for it.
  Address(const sockaddr* address, socklen_t size) noexcept;

  /// Parses "10.0.1.10:8080", "[2001:db8::1]:80", "unix:/run/a.sock" and, of the abstract namespace, "unix:@name";
  /// nothing for anything else, names of hosts included.
  static std::optional<Address> parse(std::string_view text);
  /// From a numeric host without brackets, or a Unix socket as above, of which the port is ignored.
  static std::optional<Address> parse(const std::string& host, std::uint16_t port);

  const sockaddr* get() const noexcept { return &storage_.any; }
  socklen_t size() const noexcept;
  int family() const noexcept { return storage_.any.sa_family; }
  bool isUnix() const noexcept { return family() == AF_UNIX; }
  /// 0.0.0.0 or ::, of whatever port: who listens there listens at each address of the machine of that family.
  bool isWildcard() const noexcept;
  /// The path of a Unix socket in the file system; empty for anything else, abstract and unnamed sockets included.
  std::string_view path() const noexcept;
  /// 0 where the family has no ports.
  std::uint16_t port() const noexcept;
  /// Does nothing where the family has no ports.
  void setPort(std::uint16_t port) noexcept;
  /// As parse() takes it, but for a Unix socket without a name, as most clients have: "unix:". A NUL byte in an
  /// abstract name is shown as '@'.
  std::string text() const;

  friend bool operator==(const Address& a, const Address& b) noexcept;
  /// IPv4 before IPv6 before Unix sockets, then by value.
  friend std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept;

 private:
  struct Unix {
    sockaddr_un address;
    std::uint16_t size;  // of the address in bytes, as the kernel counts
  };
  union Storage {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    Unix un;
  };

  static std::optional<Address> parseUnix(std::string_view name) noexcept;
  /// The bytes of sun_path that count, without the NUL that ends a path.
  std::string_view unixName() const noexcept;

  Storage storage_{.un = {}};
};

}  // namespace lemonade
