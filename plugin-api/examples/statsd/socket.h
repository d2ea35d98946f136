// SPDX-License-Identifier: MIT
//
// A UDP socket that sends to one place, by name or number. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

class Socket {
 public:
  /// Looks the host up, which may take a while. Throws std::runtime_error with the reason.
  Socket(const std::string& host, std::uint16_t port);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// One datagram. Throws std::runtime_error, also for what the network said of an earlier one.
  void send(std::string_view datagram) const;

 private:
  int fd_ = -1;
};
