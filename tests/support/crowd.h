// SPDX-License-Identifier: MIT
//
// Many clients at once, on one thread, and backends that take as little: for tests whose balancer is to be at work.
// Each client sends a request, waits for the answer, pauses and goes on; some keep their connection, the others come
// anew each time.
#pragma once

#include "base/fd.h"
#include "support/deadline.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lemonade::test {

/// Answers every HTTP request with 200 and one character, on one thread.
class Responder {
 public:
  explicit Responder(char name);
  ~Responder();
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  const std::string& address() const { return address_; }

 private:
  void run();

  const std::string answer_;
  const Fd listener_, epoll_, stop_;
  const std::string address_;
  std::thread thread_;
};

/// Clients of a balancer whose backends are responders. Their methods are for one thread at a time.
class Crowd {
 public:
  struct Plan {
    int kept = 100;        ///< clients that keep their connection
    int fresh = 100;       ///< clients that do not
    Millis pause = 100ms;  ///< of each of them, between an answer and the next request
  };

  explicit Crowd(const std::string& address) : Crowd(address, Plan()) {}
  Crowd(const std::string& address, Plan plan);
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  /// Requests that were answered, and those that were not as they should: the connection was refused, reset or closed,
  /// or there was no answer within ten seconds.
  std::uint64_t served() const { return served_; }
  std::uint64_t failed() const { return failed_; }
  /// Forgets those that have failed; how many that were.
  std::uint64_t forgiveFailed();
  /// The first of those that failed since the last time this was asked, in words.
  std::vector<std::string> failures();
  /// The longest that a request has taken since the last time this was asked.
  Millis longest() { return Millis(longest_ms_.exchange(0)); }

  /// Waits until each of them has been answered once more; false where one was not in time.
  bool allServed(Millis within = 10s);
  /// Lets none begin a request, and waits until none is under way: then only those that are kept are connected.
  bool rest(Millis within = 20s);
  void work() { resting_ = false; }

 private:
  struct Client {
    Fd fd;
    bool kept = false;
    bool waits = false;  // for an answer
    bool sent = false;
    std::int64_t due_ms = 0, began_ms = 0;
    std::uint64_t round = 0;  // in which it was answered last
    std::string answer;
  };

  void run();
  void beginThoseDue(std::int64_t now_ms);
  void begin(std::size_t index, std::int64_t now_ms);
  void onReady(std::size_t index, std::uint32_t events);
  void finish(std::size_t index, const std::string& failure);
  void findLate(std::int64_t now_ms);

  const std::string address_;
  const Plan plan_;
  const Fd epoll_;

  // Of the thread.
  std::vector<Client> clients_;
  std::deque<std::size_t> pausing_;  // those that are due first come first
  std::uint64_t round_ = 0;
  std::size_t served_in_round_ = 0, under_way_ = 0;
  std::int64_t looked_ms_ = 0;

  std::atomic<bool> stopping_{false}, resting_{false};
  std::atomic<std::uint64_t> served_{0}, failed_{0};
  std::atomic<std::uint64_t> wanted_round_{0};     // what somebody waits for: that all are answered, or rest
  std::atomic<std::uint64_t> completed_round_{0};  // all are answered
  std::atomic<std::uint64_t> rested_round_{0};     // none is under way, nor will be
  std::atomic<std::int64_t> longest_ms_{0};
  std::mutex mutex_;  // guards failures_
  std::vector<std::string> failures_;

  std::thread thread_;
};

}  // namespace lemonade::test
