// SPDX-License-Identifier: MIT
//
// Holds max_connections exactly, over all workers: a place is taken before accept, so the clients that are too many
// wait in the kernel's queue. Workers that find no place stop watching their listeners and want room; each place that
// becomes free wakes one of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace lemonade::proxy {

class Admission {
 public:
  explicit Admission(std::uint32_t limit) : limit_(limit) {}

  /// What to call when a place becomes free while somebody wants it, and when the last place is given back while
  /// notifyWhenEmpty is on. Before the workers run; both are called from worker threads and must not block.
  void onRoom(std::function<void()> call) { on_room_ = std::move(call); }
  void onEmpty(std::function<void()> call) { on_empty_ = std::move(call); }

  /// Takes a place; false where all are taken. Worker threads.
  bool enter() noexcept {
    std::uint32_t now = taken_.load();
    do {
      if (now >= limit_.load(std::memory_order_relaxed)) return false;
    } while (!taken_.compare_exchange_weak(now, now + 1));
    return true;
  }

  /// Takes a place even where all are taken: for who is in already. Worker threads.
  void enterAnyway() noexcept { taken_.fetch_add(1); }

  /// Gives a place back. Worker threads.
  void leave() noexcept {
    const std::uint32_t before = taken_.fetch_sub(1);
    if (wanting_.load() != 0 && before <= limit_.load()) on_room_();
    if (before == 1 && notify_empty_.load()) on_empty_();
  }

  /// One more, or one less, who found no place and is to be told. Who begins to want looks once more whether there is
  /// room after that. Worker threads.
  void startWanting() noexcept { wanting_.fetch_add(1); }
  void stopWanting() noexcept { wanting_.fetch_sub(1); }

  /// A client may have come that found no place. True where nobody has said so since settle(). Worker threads.
  bool noteFull(std::uint64_t now) noexcept {
    last_full_.store(now, std::memory_order_relaxed);
    std::uint64_t never = 0;
    return full_since_.load() == 0 && full_since_.compare_exchange_strong(never, now);
  }
  /// When that was said first, since settle(), and last; monotonic nanoseconds, 0: not yet.
  std::uint64_t fullSince() const noexcept { return full_since_.load(); }
  std::uint64_t lastFull() const noexcept { return last_full_.load(std::memory_order_relaxed); }
  /// It is over. Who is told by noteFull() from now on begins anew. Control thread.
  void settle() noexcept { full_since_.store(0); }

  bool hasRoom() const noexcept { return taken_.load() < limit_.load(); }
  std::uint32_t taken() const noexcept { return taken_.load(); }
  std::uint32_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }

  /// Changes the limit; sessions above it live on. Control thread.
  void setLimit(std::uint32_t limit) {
    limit_.store(limit);
    on_room_();
  }
  /// From now on onEmpty is called whenever the last place is given back. Control thread.
  void notifyWhenEmpty() noexcept { notify_empty_.store(true); }

 private:
  std::atomic<std::uint32_t> limit_;
  std::atomic<bool> notify_empty_{false};
  std::function<void()> on_room_ = [] {};
  std::function<void()> on_empty_ = [] {};
  alignas(64) std::atomic<std::uint32_t> taken_{0};
  std::atomic<std::uint32_t> wanting_{0};
  alignas(64) std::atomic<std::uint64_t> full_since_{0};
  std::atomic<std::uint64_t> last_full_{0};
};

}  // namespace lemonade::proxy
