// SPDX-License-Identifier: MIT
//
// Clients that other workers have accepted and handed to this one, which has fewer. Only the descriptor changes hands:
// no session is made before its own worker takes the client out. Nobody waits for anybody: newcomers are pushed onto a
// list by one exchange, and taken all at once by another.
#pragma once

#include "balance/address.h"
#include "base/fd.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace lemonade::proxy {

class Listener;

/// A client that was accepted, and has its place in the admission of its listener.
struct Newcomer {
  Fd client;
  Address address;
  std::uint16_t local_port = 0;
  Listener* listener = nullptr;
  std::unique_ptr<Newcomer> next;
};

class Inbox {
 public:
  Inbox() = default;
  ~Inbox() { (void)close(); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  /// From now on newcomers are taken in. The owner's thread, or before it runs.
  void open() noexcept {
    Newcomer* closed = &closed_;
    (void)newest_.compare_exchange_strong(closed, nullptr);
  }
  /// From now on none are; returns those that came before, as takeAll() does. The owner's thread, or after it has
  /// ended.
  std::unique_ptr<Newcomer> close() noexcept { return take(&closed_); }
  bool isOpen() const noexcept { return newest_.load(std::memory_order_relaxed) != &closed_; }

  enum class Handed { kFirst, kMore, kRefused };
  /// Hands a client over, unless the inbox is closed. After kFirst the owner must be woken. Any worker, at a time in
  /// monotonic nanoseconds.
  Handed put(std::unique_ptr<Newcomer>& newcomer, std::uint64_t now) noexcept {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    Newcomer* before = newest_.load(std::memory_order_relaxed);
    do {
      (void)newcomer->next.release();  // of a round that came to nothing
      if (before == &closed_) {
        noteServed();
        return Handed::kRefused;
      }
      newcomer->next.reset(before);
    } while (
        !newest_.compare_exchange_weak(before, newcomer.get(), std::memory_order_release, std::memory_order_relaxed));
    (void)newcomer.release();
    if (before != nullptr) return Handed::kMore;
    since_.store(now, std::memory_order_relaxed);
    return Handed::kFirst;
  }

  /// Takes out all newcomers, oldest first, each of which counts as waiting until noteServed(). The owner's thread.
  std::unique_ptr<Newcomer> takeAll() noexcept {
    if (newest_.load(std::memory_order_relaxed) == nullptr || !isOpen()) return nullptr;
    return take(nullptr);
  }

  /// One that counted as waiting does no longer: it is a session now, or was turned away.
  void noteServed() noexcept { waiting_.fetch_sub(1, std::memory_order_relaxed); }

  /// How many wait, and since when the first of them does. Any thread; roughly.
  std::uint32_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
  std::uint64_t waitingSince() const noexcept { return since_.load(std::memory_order_relaxed); }

 private:
  std::unique_ptr<Newcomer> take(Newcomer* instead) noexcept {
    std::unique_ptr<Newcomer> newest;
    if (Newcomer* all = newest_.exchange(instead, std::memory_order_acquire); all != &closed_) newest.reset(all);
    std::unique_ptr<Newcomer> oldest;
    while (newest != nullptr) {
      auto older = std::move(newest->next);
      newest->next = std::move(oldest);
      oldest = std::exchange(newest, std::move(older));
    }
    return oldest;
  }

  Newcomer closed_;  // stands for no list at all
  std::atomic<Newcomer*> newest_{&closed_};
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<std::uint64_t> since_{0};
};

}  // namespace lemonade::proxy
