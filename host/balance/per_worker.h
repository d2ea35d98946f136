// SPDX-License-Identifier: MIT
//
// One T for each worker. Workers may be added while others read theirs: readers go through one pointer to a table that
// never changes; growing publishes a longer one. Nothing is ever taken away, so references stay good.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace lemonade {

template <class T>
class PerWorker {
 public:
  PerWorker() { publish(); }
  PerWorker(const PerWorker&) = delete;
  PerWorker& operator=(const PerWorker&) = delete;

  // Any thread; worker is below size().
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(table().size()); }
  T& operator[](std::uint32_t worker) noexcept { return *table()[worker]; }
  const T& operator[](std::uint32_t worker) const noexcept { return *table()[worker]; }

  /// Adds fresh ones until there are `size`. One thread at a time, usually control; the worker begins to run
  /// afterwards.
  void grow(std::uint32_t size) {
    if (this->size() >= size) return;
    while (owned_.size() < size) owned_.push_back(std::make_unique<T>());
    publish();
  }

 private:
  using Table = std::vector<T*>;

  const Table& table() const noexcept { return *current_.load(std::memory_order_acquire); }

  void publish() {
    auto table = std::make_unique<Table>();
    for (const auto& one : owned_) table->push_back(one.get());
    tables_.push_back(std::move(table));
    current_.store(tables_.back().get(), std::memory_order_release);
  }

  // The growing thread only. Old tables stay, somebody may be reading them: there are as many as growths.
  std::vector<std::unique_ptr<T>> owned_;
  std::vector<std::unique_ptr<const Table>> tables_;

  // Any thread.
  std::atomic<const Table*> current_{nullptr};
};

}  // namespace lemonade
