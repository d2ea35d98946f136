// SPDX-License-Identifier: MIT
#include "config/host_port.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace lemonade::config {
namespace {

constexpr std::size_t kLongestName = 253;  // RFC 1035, 2.3.4, without the final dot and length byte

bool isNumeric(int family, const std::string& host) {
  in6_addr address;
  const bool whole = host.find('\0') == std::string::npos;  // inet_pton stops there
  return whole && ::inet_pton(family, host.c_str(), &address) == 1;
}

bool isDigit(char c) { return c >= '0' && c <= '9'; }

struct Split {
  std::string host;
  std::uint16_t port = 0;
  bool bracketed = false;
};

Result<Split> split(std::string_view text) {
  if (isUnixSocket(text)) return Error{"only a listener and a backend can be a Unix socket; give \"host:port\""};
  if (text.starts_with('/') || text.starts_with('@'))
    return Error{"give \"host:port\", or a Unix socket as \"unix:" + std::string(text.substr(0, 1)) + "...\""};
  if (text.find("://") != std::string_view::npos) return Error{"leave out the scheme and give \"host:port\""};
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || text.ends_with(']')) return Error{"give the port as well: \"host:port\""};
  Split parts;
  const auto digits = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parts.port);
  if (error != std::errc() || end != digits.data() + digits.size()) return Error{"give a port from 1 to 65535"};
  auto host = text.substr(0, colon);
  parts.bracketed = host.starts_with('[') && host.ends_with(']');
  if (parts.bracketed) host = host.substr(1, host.size() - 2);
  parts.host = host;
  if (parts.bracketed && !isNumeric(AF_INET6, parts.host)) return Error{"give an IPv6 address between the brackets"};
  if (!parts.bracketed && host.find(':') != std::string_view::npos) {
    return Error{"put an IPv6 address into brackets: \"[2001:db8::1]:80\""};
  }
  return parts;
}

constexpr const char* kServiceForm = "\"srv:_service._tcp.name\", such as \"srv:_http._tcp.example.com\"";

/// A service: its own label, then that of TCP or, as Consul has it, of a tag; both begin with an underscore.
Result<HostPort> parseService(std::string_view name) {
  if (name.find(':') != std::string_view::npos)
    return Error{"leave out the port, which the records of the service have: " + std::string(kServiceForm)};
  const auto first = name.find('.');
  const auto second = first == std::string_view::npos ? first : name.find('.', first + 1);
  if (!isHostName(name) || second == std::string_view::npos || second + 1 == name.size() || name[0] != '_' ||
      first < 2 || name[first + 1] != '_' || second < first + 3)
    return Error{"give the name of a service: " + std::string(kServiceForm)};
  if (name.substr(first + 1, second - first - 1) == "_udp")
    return Error{"name a service over TCP: " + std::string(kServiceForm)};
  return HostPort{std::string(kServicePrefix) + std::string(name), 0};
}

constexpr std::size_t kLongestUnixName = sizeof(sockaddr_un::sun_path) - 1;

/// The text itself.
Result<std::string> parseUnixSocket(std::string_view text) {
  const auto name = text.substr(kUnixPrefix.size());
  if ((!name.starts_with('/') && !name.starts_with('@')) || name.size() < 2)
    return Error{"give the whole path of a Unix socket, \"unix:/run/name.sock\", or an abstract name, \"unix:@name\""};
  if (name.find('\0') != std::string_view::npos) return Error{"leave out the NUL byte"};
  if (const auto size = name.size() - (name[0] == '@' ? 1 : 0); size > kLongestUnixName)
    return Error{"give a shorter name: that of a Unix socket has at most " + std::to_string(kLongestUnixName) +
                 " bytes, and this one " + std::to_string(size)};
  return std::string(text);
}

}  // namespace

// Underscores are in use among service names.
bool isHostName(std::string_view host) {
  const bool looks_numeric = std::all_of(host.begin(), host.end(), [](char c) { return isDigit(c) || c == '.'; });
  const bool characters = std::all_of(host.begin(), host.end(), [](char c) {
    return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
  });
  return !host.empty() && host.size() <= kLongestName && characters && !looks_numeric && host.front() != '.' &&
         host.front() != '-' && host.find("..") == std::string_view::npos;
}

Result<HostPort> parseBackendAddress(std::string_view text) {
  if (isService(text)) return parseService(text.substr(kServicePrefix.size()));
  if (text.starts_with('_') && text.find(':') == std::string_view::npos)
    return Error{"give the port as well, or a service as " + std::string(kServiceForm)};
  if (isUnixSocket(text)) {
    auto name = parseUnixSocket(text);
    return name.ok() ? Result<HostPort>(HostPort{std::move(name).value(), 0}) : std::move(name).error();
  }
  auto parts = split(text);
  if (!parts.ok()) return std::move(parts).error();
  auto& [host, port, bracketed] = parts.value();
  if (port == 0) return Error{"give a port from 1 to 65535"};
  if (!bracketed && !isNumeric(AF_INET, host) && !isHostName(host)) {
    return Error{"give a host name or a numeric address before the port"};
  }
  return HostPort{std::move(host), port};
}

std::string addressText(const std::string& host, std::uint16_t port) {
  if (port == 0) return host;
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<std::string> parseListenAddress(std::string_view text) {
  auto parts = split(text);
  if (!parts.ok()) return std::move(parts).error();
  auto& [host, port, bracketed] = parts.value();
  const auto port_text = ":" + std::to_string(port);
  if (bracketed) return "[" + host + "]" + port_text;
  if (host.empty() || host == "*") return "0.0.0.0" + port_text;
  if (host == "localhost") return "127.0.0.1" + port_text;
  if (isNumeric(AF_INET, host)) return host + port_text;
  return Error{"give a numeric address of this machine, such as \"0.0.0.0:8080\" or \"[::]:8080\""};
}

Result<std::string> parseListenerAddress(std::string_view text) {
  return isUnixSocket(text) ? parseUnixSocket(text) : parseListenAddress(text);
}

Result<std::string> parseHostName(std::string_view text) {
  if (text.find("://") != std::string_view::npos)
    return Error{"leave out the scheme and give a name, such as \"lb.example\""};
  const std::string host(text.substr(0, text.find(':')));
  if (isNumeric(AF_INET, host) || text.starts_with('[')) return Error{"leave out addresses, which are always known"};
  if (!isHostName(host)) return Error{"give a name, such as \"lb.example\", or one with its port: \"lb.example:9090\""};
  if (host.size() == text.size()) return host;
  auto parts = split(text);
  if (!parts.ok() || parts.value().port == 0) return Error{"give a port from 1 to 65535 behind the name, or none"};
  return std::string(text);
}

}  // namespace lemonade::config
