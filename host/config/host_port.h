// SPDX-License-Identifier: MIT
//
// Addresses as operators write them. Nothing is resolved here. Stateless; any thread.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace lemonade::config {

struct HostPort {
  std::string host;        ///< a name, a numeric address without brackets, a service or a Unix socket with its prefix
  std::uint16_t port = 0;  ///< 0: of a service, whose records have the ports, and of a Unix socket, which has none
};

/// A name as resolvers take it: letters, digits, '-', '_' and dots, not all of it digits.
bool isHostName(std::string_view host);

/// What begins the name of a service, which SRV records (RFC 2782) explain.
constexpr std::string_view kServicePrefix = "srv:";
/// True for the host of an address such as "srv:_http._tcp.example.com".
inline bool isService(std::string_view host) { return host.starts_with(kServicePrefix); }

/// What begins the name of a Unix socket: "unix:/run/a.sock", or in the abstract namespace "unix:@name".
constexpr std::string_view kUnixPrefix = "unix:";
/// True for the host of such an address.
inline bool isUnixSocket(std::string_view host) { return host.starts_with(kUnixPrefix); }

/// A backend's address: "web-1:80", "10.0.1.10:80", "[2001:db8::1]:80", where the port is 1 to 65535,
/// "srv:_http._tcp.example.com", "unix:/run/a.sock" or "unix:@name". The error says what to write instead, and does not
/// repeat the text.
Result<HostPort> parseBackendAddress(std::string_view text);
/// What was parsed as operators write it: the opposite of parseBackendAddress().
std::string addressText(const std::string& host, std::uint16_t port);

/// An address to listen on, in the form "10.0.1.10:80" or "[::]:80"; port 0 lets the system choose. Also takes "*:80"
/// and ":80" for all of IPv4, and "localhost:80" for 127.0.0.1.
Result<std::string> parseListenAddress(std::string_view text);
/// An address where clients of the balancer come in: as above, or a Unix socket.
Result<std::string> parseListenerAddress(std::string_view text);

/// A name that something here is asked by: "web-1" for any port, or "web-1:80".
Result<std::string> parseHostName(std::string_view text);

}  // namespace lemonade::config
