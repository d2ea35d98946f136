// SPDX-License-Identifier: MIT
//
// The header of the PROXY protocol, versions 1 and 2: the first bytes of a connection, with which a proxy tells whom it
// connects for. Reading and writing of bytes; which connections have a header is for others to say. Stateless; any
// thread; nothing here allocates.
//
// The format is HAProxy's: https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt. Headers of datagrams count as
// headers without addresses. What version 2 carries besides addresses (TLV) is skipped, checksums included.
#pragma once

#include "balance/address.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lemonade {

enum class ProxyVersion : std::uint8_t { kV1 = 1, kV2 = 2 };

/// Versions that are accepted: bits, which may be combined.
enum class ProxyVersions : std::uint8_t { kV1 = 1, kV2 = 2, kBoth = 3 };

/// The longest header of version 1, its line end included.
constexpr std::size_t kLongestProxyV1 = 107;
/// The longest header that is read, in bytes. The format allows 65551; what senders add to a header of version 2 stays
/// far below this.
constexpr std::size_t kLongestProxyHeader = 4096;

/// Whom a connection is for.
struct ProxyHeader {
  Address source;       ///< the client; of family AF_UNSPEC where the header names none: the peer is the client then
  Address destination;  ///< where the client connected to; AF_UNSPEC wherever source is
};

/// What the first bytes of a connection come to.
struct ProxyReading {
  enum class What : std::uint8_t {
    kComplete,    ///< a header, and perhaps more behind it
    kIncomplete,  ///< the begin of a header: every byte so far belongs to it
    kMalformed,   ///< no header, or one that must not be accepted
  };

  What what = What::kIncomplete;
  std::size_t size = 0;        ///< of kComplete: bytes of the header
  ProxyHeader header;          ///< of kComplete
  const char* flaw = nullptr;  ///< of kMalformed: a few words, such as "the first bytes are no header"
};

/// Reads the header that the bytes begin with. Give all bytes that have come, again and more of them where it is
/// incomplete; kLongestProxyHeader bytes are always enough. Decides as early as the bytes allow.
ProxyReading readProxyHeader(std::string_view bytes, ProxyVersions accepted) noexcept;

/// A header to send, of at most kCapacity bytes.
class ProxyHeaderBytes {
 public:
  static constexpr std::size_t kCapacity = 16 + 2 * sizeof(sockaddr_un::sun_path);

  std::string_view view() const noexcept { return {bytes_.data(), size_}; }
  /// Adds to the end. There must be room.
  void append(std::string_view bytes) noexcept;

 private:
  std::array<char, kCapacity> bytes_;
  std::size_t size_ = 0;
};

/// The header for a client. An IPv4 address beside an IPv6 one is written as IPv6. Addresses that the version cannot
/// name, or of which one is of family AF_UNSPEC, make a header without addresses: UNKNOWN in version 1, UNSPEC in
/// version 2.
ProxyHeaderBytes writeProxyHeader(ProxyVersion version, const ProxyHeader& header) noexcept;
/// The header of a connection that is the proxy's own, such as a health check: LOCAL in version 2. Version 1 has no
/// such word, and UNKNOWN is refused by some: there the addresses of the connection itself are written.
ProxyHeaderBytes writeLocalProxyHeader(ProxyVersion version, const ProxyHeader& own) noexcept;

}  // namespace lemonade
