// SPDX-License-Identifier: MIT
#include "balance/proxy_header.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

namespace lemonade {

namespace {

using What = ProxyReading::What;
using namespace std::string_view_literals;

constexpr auto kBeginV1 = "PROXY "sv;
constexpr auto kUnknown = "UNKNOWN"sv;
constexpr auto kLineEnd = "\r\n"sv;
constexpr auto kBeginV2 = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t kFixedV2 = 16;  // before the addresses
constexpr std::uint8_t kLocal = 0x20;
constexpr std::uint8_t kProxied = 0x21;
constexpr std::uint8_t kStream = 1;
constexpr std::size_t kUnixPath = sizeof(sockaddr_un::sun_path);

enum FamilyV2 : std::uint8_t { kUnspec = 0, kInet = 1, kInet6 = 2, kUnix = 3 };

constexpr auto kNoHeader = "the first bytes are no PROXY header";

ProxyReading incomplete() noexcept { return {}; }

ProxyReading malformed(const char* flaw) noexcept {
  ProxyReading reading;
  reading.what = What::kMalformed;
  reading.flaw = flaw;
  return reading;
}

ProxyReading complete(std::size_t size, const ProxyHeader& header = {}) noexcept {
  ProxyReading reading;
  reading.what = What::kComplete;
  reading.size = size;
  reading.header = header;
  return reading;
}

bool accepts(ProxyVersions accepted, ProxyVersion version) noexcept {
  return (static_cast<unsigned>(accepted) & static_cast<unsigned>(version)) != 0;
}

/// Both begin in the same way, as far as the shorter one goes.
bool agree(std::string_view bytes, std::string_view begin) noexcept {
  const auto size = std::min(bytes.size(), begin.size());
  return bytes.substr(0, size) == begin.substr(0, size);
}

Address inetAddress(const void* host, std::uint16_t port) noexcept {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = port;
  std::memcpy(&address.sin_addr, host, sizeof(address.sin_addr));
  return Address(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

Address inet6Address(const void* host, std::uint16_t port) noexcept {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = port;
  std::memcpy(&address.sin6_addr, host, sizeof(address.sin6_addr));
  return Address(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

// ---- version 1 ----

std::string_view cutWord(std::string_view& rest) noexcept {
  const auto space = rest.find(' ');
  const auto word = rest.substr(0, space);
  rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
  return word;
}

/// A decimal number without leading zeros.
std::optional<std::uint16_t> portOf(std::string_view word) noexcept {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), port);
  const bool whole = error == std::errc() && end == word.data() + word.size();
  return whole && (word.size() == 1 || word[0] != '0') ? std::optional(port) : std::nullopt;
}

/// Of family AF_UNSPEC where the words are no address.
Address addressOf(int family, std::string_view host, std::string_view port_word) noexcept {
  char text[INET6_ADDRSTRLEN] = "";
  const auto port = portOf(port_word);
  if (!port || host.size() >= sizeof(text) || host.find('\0') != std::string_view::npos) return {};
  std::copy(host.begin(), host.end(), text);
  in6_addr bytes{};
  if (::inet_pton(family, text, &bytes) != 1) return {};
  return family == AF_INET ? inetAddress(&bytes, htons(*port)) : inet6Address(&bytes, htons(*port));
}

/// line is what stands between "PROXY " and the line end.
ProxyReading readLine(std::string_view line, std::size_t size) noexcept {
  const auto protocol = cutWord(line);
  if (protocol == kUnknown) return complete(size);
  const int family = protocol == "TCP4"sv ? AF_INET : protocol == "TCP6"sv ? AF_INET6 : AF_UNSPEC;
  if (family == AF_UNSPEC) return malformed("a PROXY header of a protocol other than TCP4, TCP6 and UNKNOWN");
  const auto source = cutWord(line);
  const auto destination = cutWord(line);
  const auto source_port = cutWord(line);
  const ProxyHeader header{addressOf(family, source, source_port), addressOf(family, destination, line)};
  if (header.source.family() == AF_UNSPEC || header.destination.family() == AF_UNSPEC)
    return malformed("a PROXY header without two addresses and two ports");
  return complete(size, header);
}

bool mayBecomeProtocol(std::string_view rest) noexcept {
  return agree(rest, "TCP4 "sv) || agree(rest, "TCP6 "sv) || agree(rest, kUnknown);
}

ProxyReading readV1(std::string_view bytes) noexcept {
  const auto head = bytes.substr(0, kLongestProxyV1);
  const auto line_feed = head.find('\n');
  if (line_feed == std::string_view::npos) {
    if (head.size() == kLongestProxyV1) return malformed("a PROXY header of version 1 of more than 107 bytes");
    const bool possible = head.size() <= kBeginV1.size() || mayBecomeProtocol(head.substr(kBeginV1.size()));
    return possible ? incomplete() : malformed("a PROXY header of a protocol other than TCP4, TCP6 and UNKNOWN");
  }
  const auto line = head.substr(0, line_feed + 1);
  if (!line.ends_with(kLineEnd) || line.size() < kBeginV1.size() + kLineEnd.size())
    return malformed("a PROXY header whose line does not end in CR LF");
  return readLine(line.substr(kBeginV1.size(), line.size() - kBeginV1.size() - kLineEnd.size()), line.size());
}

// ---- version 2 ----

std::uint8_t byteAt(std::string_view bytes, std::size_t at) noexcept { return static_cast<std::uint8_t>(bytes[at]); }

Address unixAddress(std::string_view path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  // An abstract name has no end of its own: it is as long as its last byte that is not NUL.
  const auto last = path.find_last_not_of('\0');
  const std::size_t used = last == std::string_view::npos ? 0 : std::min(last + 2, kUnixPath);
  const bool is_abstract = used != 0 && path[0] == '\0';
  return Address(reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + (is_abstract ? last + 1 : used)));
}

std::size_t addressSize(std::uint8_t family) noexcept {
  switch (family) {
    case kInet:
      return 2 * (sizeof(in_addr) + sizeof(in_port_t));
    case kInet6:
      return 2 * (sizeof(in6_addr) + sizeof(in_port_t));
    case kUnix:
      return 2 * kUnixPath;
    default:
      return 0;
  }
}

/// Two hosts, then two ports; Unix sockets have no ports.
ProxyHeader addressesOf(std::uint8_t family, std::string_view block) noexcept {
  if (family == kUnix)
    return {unixAddress(block.substr(0, kUnixPath)), unixAddress(block.substr(kUnixPath, kUnixPath))};
  const std::size_t host = family == kInet ? sizeof(in_addr) : sizeof(in6_addr);
  std::uint16_t ports[2];
  std::memcpy(ports, block.data() + 2 * host, sizeof(ports));
  const auto address = family == kInet ? inetAddress : inet6Address;
  return {address(block.data(), ports[0]), address(block.data() + host, ports[1])};
}

ProxyReading readV2(std::string_view bytes) noexcept {
  if (bytes.size() > 12 && byteAt(bytes, 12) != kLocal && byteAt(bytes, 12) != kProxied)
    return malformed("a PROXY header of an unknown version or command");
  if (bytes.size() < kFixedV2) return incomplete();
  const std::size_t length = std::size_t{byteAt(bytes, 14)} << 8 | byteAt(bytes, 15);
  if (kFixedV2 + length > kLongestProxyHeader) return malformed("a PROXY header of more than 4096 bytes");
  const bool is_local = byteAt(bytes, 12) == kLocal;
  const std::uint8_t family = byteAt(bytes, 13) >> 4;
  const std::uint8_t transport = byteAt(bytes, 13) & 0x0f;
  if (!is_local) {
    if (family > kUnix || transport > 2) return malformed("a PROXY header of an unknown family or transport");
    if (length < addressSize(family)) return malformed("a PROXY header too short for its addresses");
  }
  if (bytes.size() < kFixedV2 + length) return incomplete();
  if (is_local || family == kUnspec || transport != kStream) return complete(kFixedV2 + length);
  return complete(kFixedV2 + length, addressesOf(family, bytes.substr(kFixedV2)));
}

// ---- writing ----

/// The bytes of a host: 4 of IPv4, 16 of IPv6.
std::string_view hostBytes(const Address& address) noexcept {
  if (address.family() == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr;
    return {reinterpret_cast<const char*>(&v4), sizeof(v4)};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr;
  return {reinterpret_cast<const char*>(&v6), sizeof(v6)};
}

/// An IPv4 address as IPv6 has it, any other as it is.
Address asInet6(const Address& address) noexcept {
  if (address.family() != AF_INET) return address;
  std::uint8_t mapped[16] = {};
  mapped[10] = mapped[11] = 0xff;
  std::memcpy(mapped + 12, hostBytes(address).data(), 4);
  return inet6Address(mapped, htons(address.port()));
}

bool isInternet(const Address& address) noexcept { return address.family() == AF_INET || address.family() == AF_INET6; }

/// Both addresses in one family, or none where no family has both.
ProxyHeader inOneFamily(const ProxyHeader& header) noexcept {
  if (header.source.family() == header.destination.family()) return header;
  if (isInternet(header.source) && isInternet(header.destination))
    return {asInet6(header.source), asInet6(header.destination)};
  return {};
}

void appendHost(ProxyHeaderBytes& bytes, const Address& address) noexcept {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(address.family(), hostBytes(address).data(), text, sizeof(text));
  bytes.append(text);
}

void appendNumber(ProxyHeaderBytes& bytes, unsigned number) noexcept {
  char digits[10];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), number);
  bytes.append({digits, static_cast<std::size_t>(end - digits)});
}

ProxyHeaderBytes writeV1(const ProxyHeader& header) noexcept {
  ProxyHeaderBytes bytes;
  bytes.append(kBeginV1);
  if (isInternet(header.source)) {
    bytes.append(header.source.family() == AF_INET ? "TCP4 "sv : "TCP6 "sv);
    appendHost(bytes, header.source);
    bytes.append(" "sv);
    appendHost(bytes, header.destination);
    bytes.append(" "sv);
    appendNumber(bytes, header.source.port());
    bytes.append(" "sv);
    appendNumber(bytes, header.destination.port());
  } else {
    bytes.append(kUnknown);
  }
  bytes.append(kLineEnd);
  return bytes;
}

void appendByte(ProxyHeaderBytes& bytes, std::uint8_t byte) noexcept {
  const char character = static_cast<char>(byte);
  bytes.append({&character, 1});
}

void appendPort(ProxyHeaderBytes& bytes, std::uint16_t port) noexcept {
  appendByte(bytes, static_cast<std::uint8_t>(port >> 8));
  appendByte(bytes, static_cast<std::uint8_t>(port & 0xff));
}

void appendUnix(ProxyHeaderBytes& bytes, const Address& address) noexcept {
  char name[kUnixPath] = {};
  constexpr std::size_t kBefore = offsetof(sockaddr_un, sun_path);
  std::memcpy(name, reinterpret_cast<const sockaddr_un*>(address.get())->sun_path, address.size() - kBefore);
  bytes.append({name, sizeof(name)});
}

std::uint8_t familyV2(int family) noexcept {
  switch (family) {
    case AF_INET:
      return kInet;
    case AF_INET6:
      return kInet6;
    case AF_UNIX:
      return kUnix;
    default:
      return kUnspec;
  }
}

ProxyHeaderBytes writeV2(std::uint8_t command, const ProxyHeader& header) noexcept {
  ProxyHeaderBytes bytes;
  const std::uint8_t family = familyV2(header.source.family());
  bytes.append(kBeginV2);
  appendByte(bytes, command);
  appendByte(bytes, family == kUnspec ? 0 : static_cast<std::uint8_t>(family << 4 | kStream));
  appendPort(bytes, static_cast<std::uint16_t>(addressSize(family)));
  if (family == kUnix) {
    appendUnix(bytes, header.source);
    appendUnix(bytes, header.destination);
  } else if (family != kUnspec) {
    bytes.append(hostBytes(header.source));
    bytes.append(hostBytes(header.destination));
    appendPort(bytes, header.source.port());
    appendPort(bytes, header.destination.port());
  }
  return bytes;
}

}  // namespace

ProxyReading readProxyHeader(std::string_view bytes, ProxyVersions accepted) noexcept {
  const bool maybe_v1 = accepts(accepted, ProxyVersion::kV1) && agree(bytes, kBeginV1);
  const bool maybe_v2 = accepts(accepted, ProxyVersion::kV2) && agree(bytes, kBeginV2);
  if (bytes.empty()) return incomplete();
  if (maybe_v1) return readV1(bytes);
  if (maybe_v2) return readV2(bytes);
  const bool other_version = agree(bytes, kBeginV1) || agree(bytes, kBeginV2);
  return malformed(other_version ? "a PROXY header of a version that is not accepted" : kNoHeader);
}

void ProxyHeaderBytes::append(std::string_view bytes) noexcept {
  std::copy(bytes.begin(), bytes.end(), bytes_.data() + size_);
  size_ += bytes.size();
}

ProxyHeaderBytes writeProxyHeader(ProxyVersion version, const ProxyHeader& header) noexcept {
  const auto same = inOneFamily(header);
  return version == ProxyVersion::kV1 ? writeV1(same) : writeV2(kProxied, same);
}

ProxyHeaderBytes writeLocalProxyHeader(ProxyVersion version, const ProxyHeader& own) noexcept {
  return version == ProxyVersion::kV1 ? writeV1(inOneFamily(own)) : writeV2(kLocal, {});
}

}  // namespace lemonade
