// SPDX-License-Identifier: MIT
#include "admin/access.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include "admin/message.h"
#include "base/log_line.h"

namespace lemonade::admin {

namespace {

/// "host:port" taken apart.
struct Authority {
  std::string host;  ///< in lower case, without brackets and without the dot at its end
  std::string port;  ///< "" where there is none
  bool numeric = false;

  bool operator==(const Authority&) const = default;
};

std::string lower(std::string_view text) {
  std::string copy(text);
  for (char& c : copy)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return copy;
}

bool isName(std::string_view host) {
  return !host.empty() && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

/// A number that fits, without sign and leading zeros; 80 and nothing are told apart.
bool isPort(std::string_view port) {
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return port.empty() || (error == std::errc() && end == port.data() + port.size());
}

bool isIpv6(std::string host) {
  host.resize(std::min(host.size(), host.find('%')));  // a zone means something only where it was written
  in6_addr address;
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

std::optional<Authority> parse(const std::string& text) {
  Authority authority;
  const auto bracket = text.starts_with('[') ? text.find(']') : std::string::npos;
  const auto colon = text.find(':', bracket == std::string::npos ? 0 : bracket);
  const auto host = lower(std::string_view(text).substr(0, colon));
  if (colon != std::string::npos) authority.port = text.substr(colon + 1);
  if (!isPort(authority.port)) return std::nullopt;
  if (bracket != std::string::npos) {
    authority.numeric = true;
    authority.host = host.substr(1, bracket - 1);
    const bool whole = bracket + 1 == host.size();
    return whole && isIpv6(authority.host) ? std::optional(authority) : std::nullopt;
  }
  if (!isName(host)) return std::nullopt;
  in_addr address;
  authority.numeric = ::inet_aton(host.c_str(), &address) == 1;  // as resolvers do, which never look such a text up
  authority.host = host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
  return authority;
}

/// Whether a page of this origin was served by the very host and port that the request asks.
bool sameOrigin(const std::string& origin, Authority host) {
  const bool secure = origin.starts_with("https://");  // what ends TLS in front of us leaves the name as it was
  if (!secure && !origin.starts_with("http://")) return false;
  auto page = parse(origin.substr(secure ? 8 : 7));
  if (!page) return false;
  for (auto* authority : {&*page, &host})
    if (authority->port.empty()) authority->port = secure ? "443" : "80";
  return *page == host;
}

/// The token of "Bearer TOKEN"; nothing where the header says something else.
std::optional<std::string_view> bearerOf(std::string_view value) {
  constexpr std::string_view kScheme = "bearer ";
  if (lower(value.substr(0, kScheme.size())) != kScheme) return std::nullopt;
  value.remove_prefix(kScheme.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  return value;
}

}  // namespace

Access::Access(const std::vector<std::string>& names, Demand demand) : names_{"localhost"}, demand_(std::move(demand)) {
  for (const auto& name : names) names_.push_back(lower(name));
}

std::optional<Refusal> Access::refusal(const RequestHead& head) const {
  std::optional<Authority> host;
  if (head.host) {
    host = parse(*head.host);
    if (!host && !head.host->empty()) return Refusal{400, "the Host header is no host with a port"};
    const auto known = [&](const std::string& name) {
      return name == host->host || name == host->host + ":" + (host->port.empty() ? "80" : host->port);
    };
    if (!host || (!host->numeric && std::ranges::none_of(names_, known)))
      return Refusal{403, "this listener is not known as \"" + *head.host +
                              "\"; ask it by its address, or add the name to hosts in [admin]"};
  }
  if (changes(head.method) && head.origin && !(host && sameOrigin(*head.origin, *host)))
    return Refusal{
        403, "a page of \"" + *head.origin + "\" may not ask this; send the request without Origin, as curl does"};
  return std::nullopt;
}

std::variant<std::string, Refusal> Access::judge(const RequestHead& head, const Peer& peer) const {
  if (auto refused = refusal(head)) return std::move(*refused);
  return authorize(head, peer);
}

// A token says who asks also where none is needed.
std::variant<std::string, Refusal> Access::authorize(const RequestHead& head, const Peer& peer) const {
  const auto token = head.authorization ? bearerOf(*head.authorization) : std::nullopt;
  const auto owner = token ? demand_.tokens.ownerOf(*token) : std::nullopt;
  if (owner) return peer.text + " token=" + *owner;
  const bool known = peer.from == Peer::From::kUnix || (peer.from == Peer::From::kLoopback && !demand_.of_loopback);
  if (!changes(head.method) || known) return peer.text;
  if (!demand_.token_file)
    return Refusal{403,
                   "who is not on the balancer's machine may change nothing here; set token_file in [admin] and send "
                   "a token of that file, or ask from there"};
  if (token) return Refusal{401, "this token is not in the token_file of [admin]"};
  return Refusal{401, head.authorization ? "only tokens are known here: send Authorization: Bearer TOKEN"
                                         : "to change something send a token of the token_file of [admin]: "
                                           "Authorization: Bearer TOKEN"};
}

}  // namespace lemonade::admin
