// SPDX-License-Identifier: MIT
//
// Drives one probe of a health checker in a check, as the host does it.
#pragma once

#include "validate/harness.h"

#include <string>
#include <vector>

namespace lemonade::validate {

class ProbeRun {
 public:
  /// Begins a probe; began() tells whether the checker let it.
  ProbeRun(const Live<lemonade_health_checker_t>& checker, std::size_t extra = 0);
  ProbeRun(const ProbeRun&) = delete;
  ProbeRun& operator=(const ProbeRun&) = delete;
  /// Ends it, wherever it is.
  ~ProbeRun();

  bool began() const noexcept { return began_; }
  /// True while it wants more events.
  bool goesOn() const noexcept { return began_ && what_ <= LEMONADE_VERDICT_SEND; }
  std::uint32_t what() const noexcept { return what_; }

  /// Feeds an event, if it goes on, and looks at the verdict, which must be in order.
  void connected() { feed(LEMONADE_PROBE_CONNECTED, {}, 0); }
  void data(std::string_view bytes) { feed(LEMONADE_PROBE_DATA, bytes, 0); }
  void eof() { feed(LEMONADE_PROBE_EOF, {}, 0); }
  void error(int number) { feed(LEMONADE_PROBE_ERROR, {}, number); }
  void timeout() { feed(LEMONADE_PROBE_TIMEOUT, {}, 0); }

 private:
  void feed(std::uint32_t type, std::string_view bytes, int number);
  void look(const lemonade_probe_verdict_t& verdict);

  const Live<lemonade_health_checker_t>& checker_;
  std::size_t extra_;
  void* probe_ = nullptr;
  bool began_ = false;
  std::uint32_t what_ = LEMONADE_VERDICT_WAIT;
  volatile std::uint32_t sum_ = 0;  // of what was read, so that it is read
};

}  // namespace lemonade::validate
