// SPDX-License-Identifier: MIT
//
// A socket's own address as the kernel gives it, for people. Stateless; any thread.
#pragma once

#include <sys/socket.h>

#include <string>

namespace lemonade {

/// "127.0.0.1:8080", "[::1]:8080", "unix:/run/a.sock", "unix:@name"; what follows the name of a Unix socket is zero.
std::string socketAddressText(const sockaddr_storage& address);

}  // namespace lemonade
