// SPDX-License-Identifier: MIT
//
// How the kernel finds out that a peer has gone without a word: by probes while nothing is under way to it, and, where
// that is asked for, by how long it has not acknowledged what is.
#pragma once

#include "config/config.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>

namespace lemonade::proxy {

struct Keepalive {
  std::uint32_t idle_s = 0;           ///< seconds without a word before the first probe, at most 32767; 0: no probes
  std::uint32_t interval_s = 10;      ///< seconds between probes, 1 to 32767
  std::uint32_t count = 5;            ///< probes without an answer after which the peer is gone, 1 to 127
  std::uint32_t user_timeout_ms = 0;  ///< TCP_USER_TIMEOUT; 0: the kernel's own limits

  static Keepalive of(const config::Listener& listener) noexcept {
    using std::chrono::ceil, std::chrono::seconds, std::chrono::milliseconds;
    const auto inSeconds = [](Duration time) { return static_cast<std::uint32_t>(ceil<seconds>(time).count()); };
    return {inSeconds(listener.tcp_keepalive), inSeconds(listener.tcp_keepalive_interval), listener.tcp_keepalive_count,
            static_cast<std::uint32_t>(listener.tcp_user_timeout / milliseconds(1))};
  }

  /// How long a peer may be silent, in nanoseconds; 0 where nothing is probed.
  std::uint64_t silenceNs() const noexcept {
    return idle_s == 0 ? 0 : (idle_s + std::uint64_t{interval_s} * count) * 1'000'000'000;
  }

  /// Calls set(level, name, value) for each option that a new socket needs.
  template <class Set>
  void eachOption(Set&& set) const {
    if (user_timeout_ms != 0) set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(user_timeout_ms));
    if (idle_s == 0) return;
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(idle_s));
    set(IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(interval_s));
    set(IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(count));
  }
};

}  // namespace lemonade::proxy
