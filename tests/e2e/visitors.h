// SPDX-License-Identifier: MIT
//
// Clients that come one after the other while something else goes on.
#pragma once

#include "support/socket.h"

#include <atomic>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace lemonade::test {

/// Two clients at a time: each connects, makes its visit and leaves, until end().
class Visitors {
 public:
  /// True where the client got what it came for; a visit that throws has failed.
  using Visit = std::function<bool(Socket&)>;

  Visitors(std::string address, Visit visit) : address_(std::move(address)), visit_(std::move(visit)) {
    for (int i = 0; i < 2; ++i) threads_.emplace_back([this] { run(); });
  }
  ~Visitors() { end(); }
  void end() {
    end_ = true;
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
  }
  int served() const { return served_; }
  int failed() const { return failed_; }

 private:
  void run() {
    while (!end_) try {
        Socket client = Socket::connect(address_);
        ++(visit_(client) ? served_ : failed_);
      } catch (const std::exception&) {
        ++failed_;
      }
  }

  const std::string address_;
  const Visit visit_;
  std::atomic<bool> end_{false};
  std::atomic<int> served_{0}, failed_{0};
  std::vector<std::thread> threads_;
};

}  // namespace lemonade::test
