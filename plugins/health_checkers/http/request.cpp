// SPDX-License-Identifier: MIT
#include "request.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace sdk = lemonade::sdk;

namespace {

constexpr std::string_view kAgent = "User-Agent: lemonade-health-check\r\n";

/// A "token" of RFC 9110, section 5.6.2.
bool isToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos);
  });
}

/// Without control characters, which could end a line.
bool isOneLine(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

bool sameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view trimmedWord(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// The lines of the option headers as they are sent; ours in front of them where they do not replace it.
std::string headersOf(std::string_view text) {
  std::string headers;
  bool agent = false;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = trimmedWord(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (line.empty()) continue;
    const auto colon = line.find(':');
    const auto name = line.substr(0, colon);
    if (colon == std::string_view::npos || !isToken(name) || !isOneLine(line))
      throw sdk::OptionError("headers", "\"" + std::string(line) + "\" is no header: give one \"Name: value\" a line");
    if (sameName(name, "Host")) throw sdk::OptionError("headers", "Host is an option of its own: host");
    for (const auto* ours : {"Connection", "Content-Length", "Transfer-Encoding"})
      if (sameName(name, ours)) throw sdk::OptionError("headers", "the checker itself decides " + std::string(name));
    agent = agent || sameName(name, "User-Agent");
    (headers += line) += "\r\n";
  }
  return agent ? headers : std::string(kAgent) + headers;
}

/// The backend as it is configured, "app.example:8080", without the port of HTTP; of a Unix socket what the host calls
/// it.
std::string hostOf(const lemonade_probe_target_t& target) {
  const auto address = sdk::view(target.address);
  const auto name = sdk::view(target.hostname);
  if (address.starts_with("unix:")) return std::string(name);
  const auto port = address.substr(std::min(address.rfind(':'), address.size()));
  std::string host(name);
  if (name.find(':') != std::string_view::npos) host = "[" + host + "]";
  return port == ":80" ? host : host.append(port);
}

}  // namespace

Request::Request(const sdk::Options& options) : host_(options.text("host")) {
  const std::string method(options.text("method"));
  const std::string path(options.text("path"));
  if (!isToken(method)) throw sdk::OptionError("method", "give a method of HTTP, such as \"GET\" or \"HEAD\"");
  if (path.empty() || (path[0] != '/' && path != "*") || !isOneLine(path) ||
      path.find_first_of(" \t#") != std::string::npos)
    throw sdk::OptionError("path", "give a path that begins with \"/\" and has no blanks, such as \"/health?full=1\"");
  if (!isOneLine(host_) || host_.find_first_of(" \t/") != std::string::npos)
    throw sdk::OptionError("host", "give the value of the Host header, such as \"app.example\"");
  head_ = method == "HEAD";
  before_host_ = method + " " + path + " HTTP/1.1\r\nHost: ";
  after_host_ = "\r\nConnection: close\r\n" + headersOf(options.text("headers")) + "\r\n";
}

std::string Request::text(const lemonade_probe_target_t& target) const {
  return before_host_ + (host_.empty() ? hostOf(target) : host_) + after_host_;
}
