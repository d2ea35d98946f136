// SPDX-License-Identifier: MIT
//
// What the backends and the load generator share: an epoll set that waits until a point of the monotonic clock, to the
// microsecond, and the reading of their one-line messages. One thread.
#pragma once

#include "base/clock.h"
#include "base/fd.h"

#include <sys/epoll.h>
#include <sys/prctl.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <span>
#include <system_error>

namespace lemonade::bench {

inline constexpr std::uint64_t kNever = ~std::uint64_t{0};
inline constexpr double kSecond = 1e9;  // nanoseconds

class EventLoop {
 public:
  /// Throws std::system_error. Sets the timer slack of the calling thread to its least.
  EventLoop() : epoll_(ownedFd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) { ::prctl(PR_SET_TIMERSLACK, 1UL); }

  /// Reports events of fd under id until fd is closed or removed. Throws std::system_error.
  void add(int fd, std::uint64_t id, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
  void remove(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  /// What happened, at the latest when the clock reaches until; empty then. Valid until the next call.
  std::span<const epoll_event> wait(std::uint64_t until) {
    const std::uint64_t now = nowNs();
    const std::uint64_t left = until > now ? until - now : 0;
    const timespec timeout{static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
    const int count = ::epoll_pwait2(epoll_.get(), events_.data(), static_cast<int>(events_.size()),
                                     until == kNever ? nullptr : &timeout, nullptr);
    if (count < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "epoll_pwait2");
    return {events_.data(), static_cast<std::size_t>(count < 0 ? 0 : count)};
  }

 private:
  Fd epoll_;
  std::array<epoll_event, 256> events_{};
};

}  // namespace lemonade::bench
