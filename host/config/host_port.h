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
  std::string host;  ///< a name, or a numeric address without brackets
  std::uint16_t port = 0;
};

/// A backend's address: "web-1:80", "10.0.1.10:80", "[2001:db8::1]:80"; the port is 1 to 65535. The error says what to
/// write instead, and does not repeat the text.
Result<HostPort> parseBackendAddress(std::string_view text);

/// An address to listen on, in the form "10.0.1.10:80" or "[::]:80"; port 0 lets the system choose. Also takes "*:80"
/// and ":80" for all of IPv4, and "localhost:80" for 127.0.0.1.
Result<std::string> parseListenAddress(std::string_view text);

}  // namespace lemonade::config
