// SPDX-License-Identifier: MIT
//
// What a plugin does that behaves until a file appears: no test has to wait for a time to pass.
#pragma once

#include <lemonade/sdk/plugin.hpp>

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

namespace late {

class Misdeed {
 public:
  /// The rows of its options.
  static constexpr lemonade_option_t kWhen =
      lemonade::sdk::option("when", LEMONADE_OPTION_STRING, "", "The file that turns it bad.");
  static constexpr lemonade_option_t kWhat =
      lemonade::sdk::option("misdeed", LEMONADE_OPTION_STRING, "", "What it does then.");

  explicit Misdeed(const lemonade::sdk::Options& options)
      : when_(options.text("when")), what_(options.text("misdeed")) {}

  /// Does it, once the file is there.
  void act() const {
    if (when_.empty() || ::access(when_.c_str(), F_OK) != 0) return;
    if (what_ == "spin")
      for (std::atomic<int> turns{0};; turns.fetch_add(1, std::memory_order_relaxed)) {
      }
    if (what_ == "block")
      for (;;) ::pause();
    if (what_ == "slow") ::poll(nullptr, 0, 120);
    if (what_ == "segv") *reinterpret_cast<volatile int*>(8) = 1;
    if (what_ == "abort") std::abort();
    if (what_ == "terminate") std::terminate();
    if (what_ == "exit") std::exit(0);
    if (what_ == "throw") throw 7;
  }

 private:
  const std::string when_;
  const std::string what_;
};

}  // namespace late
