// SPDX-License-Identifier: MIT
//
// Shows whether a thread moves: somebody asks, and the thread answers when it comes round. Who asks also wakes it, or
// it sleeps on.
#pragma once

#include <atomic>
#include <cstdint>

namespace lemonade {

class Pulse {
 public:
  /// The thread runs from now on, and owes no answer. Whoever starts and ends it, as end().
  void begin() noexcept {
    answered_.store(asked_.load());
    running_.store(true);
  }
  /// It has ended: nobody waits for an answer.
  void end() noexcept { running_.store(false); }

  /// It moves. That thread; where nobody has asked this is two loads.
  void answer() noexcept {
    const std::uint64_t asked = asked_.load(std::memory_order_acquire);
    if (answered_.load(std::memory_order_relaxed) != asked) answered_.store(asked, std::memory_order_release);
  }

  /// True where it runs. Whoever asks, as the next two.
  bool running() const noexcept { return running_.load(); }
  /// When it was asked what it has not answered yet, monotonic nanoseconds; 0: it owes no answer.
  std::uint64_t owesSince() const noexcept {
    const std::uint64_t asked = asked_.load();
    return !running() || answered_.load(std::memory_order_acquire) == asked ? 0 : asked;
  }
  /// Asks, unless it owes an answer. now_ns is monotonic and not 0.
  void ask(std::uint64_t now_ns) noexcept {
    if (owesSince() == 0) asked_.store(now_ns, std::memory_order_release);
  }

 private:
  std::atomic<bool> running_{false};
  std::atomic<std::uint64_t> asked_{0};
  std::atomic<std::uint64_t> answered_{0};
};

}  // namespace lemonade
