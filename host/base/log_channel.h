// SPDX-License-Identifier: MIT
//
// The end of the log: a Poco::Channel over a bounded queue, with one thread that writes it to a descriptor. Logging
// threads never wait for the reader of the log: what does not fit into the queue is dropped and counted, and the log
// itself says how much once there is room again.
//
// Any thread logs; open() and close() come from one thread at a time. Lives as long as the process (see log.cpp).
#pragma once

#include <Poco/Channel.h>
#include <Poco/Message.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace lemonade::log {

/// The channel. The text of a message is a finished line, its newline included.
class BoundedChannel : public Poco::Channel {
 public:
  /// Spells the line that says how many were dropped. Called on the writer thread.
  using Notice = std::function<std::string(std::uint64_t dropped)>;

  struct Limits {
    std::size_t lines = 8'192;
    std::size_t bytes = 8 << 20;
    std::chrono::milliseconds close_patience{2'000};  ///< how long close() waits for a reader that does not read
  };

  /// Writes to fd, which stays the caller's.
  BoundedChannel(int fd, Notice notice);
  BoundedChannel(int fd, Notice notice, Limits limits);

  /// Starts the writer thread; before, lines are written at once. Again: nothing.
  void open() override;
  /// Writes what is queued and ends the writer thread; lines are written at once from then on.
  void close() override;
  /// Queues one line, or drops it where the queue is full.
  void log(const Poco::Message& message) override;

  /// Counts a line that was dropped before it came here. Any thread.
  void drop() noexcept { dropped_.fetch_add(1, std::memory_order_relaxed); }
  /// Lines dropped since construction.
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 protected:
  ~BoundedChannel() override;

 private:
  bool enqueue(const std::string& line);
  void run();
  bool takeQueue();
  void announceLoss(std::uint64_t lost) noexcept;
  bool writeLines();
  bool writeChunk(std::string_view chunk);

  const int fd_;
  const Notice notice_;
  const Limits limits_;
  std::atomic<std::uint64_t> dropped_{0};
  std::thread writer_;             // of open() and close()
  std::deque<std::string> lines_;  // of the writer, with the next: what it needs is there before its thread is
  std::string chunk_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::string> queue_;
  std::size_t queued_bytes_ = 0;
  std::uint64_t announced_ = 0;  // of dropped_
  bool running_ = false;
  bool closing_ = false;
  std::chrono::steady_clock::time_point give_up_{};
};

}  // namespace lemonade::log
