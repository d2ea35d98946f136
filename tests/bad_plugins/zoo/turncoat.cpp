// SPDX-License-Identifier: MIT
//
// A strategy that picks by turns and behaves at first. Then it turns, and does one thing wrong.
#include "turn.h"

#include <lemonade/sdk/strategy.hpp>

#include <fenv.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace zoo {

namespace sdk = lemonade::sdk;

class Turncoat : public sdk::Strategy {
 public:
  struct Prepared {};

  explicit Turncoat(sdk::Host host, const sdk::Options&) : made_ns_(host.nowNs()) {}

  std::unique_ptr<Prepared> prepare(sdk::View) {
    static std::atomic<int> views{0};
    if (does("spin_in_later_prepare") && ++views > 40) spin();
    if (does("sleep_in_prepare")) ::sleep(20);
    if (does("throw_in_prepare")) throwOut();
    if (does("hoard_in_prepare")) {
      static std::vector<std::unique_ptr<char[]>> hoard;
      hoard.emplace_back(new char[512 << 20]);
    }
    static std::atomic<bool> filled{false};
    if (does("fill_in_prepare") && !filled.exchange(true)) filled_.resize(std::size_t{2} << 30, 'x');
    return std::make_unique<Prepared>();
  }

  std::uint32_t pick(const sdk::Pick<Prepared>& pick) noexcept {
    const auto number = picks_.fetch_add(1, std::memory_order_relaxed);
    if (does("crash_after_5000") && number >= 5'000) crash();
    if (pick.connection.now_ns - made_ns_ >= kTurnsAfter)
      if (const auto answer = turned(number); answer != kAsBefore) return answer;
    const auto eligible = pick.view.eligible();
    for (std::size_t i = 0; i < eligible.size(); ++i)
      if (const auto index = eligible[(number + i) % eligible.size()]; pick.allowed(index)) return index;
    return LEMONADE_PICK_NONE;
  }

 private:
  static constexpr std::uint32_t kAsBefore = ~std::uint32_t{0} - 77;

  static std::uint32_t turned(std::uint64_t number) noexcept {
    if (does("turn_and_crash")) crash();
    if (does("turn_and_abort")) std::abort();
    if (does("turn_and_throw")) throwOut();
    if (does("turn_and_spin")) spin();
    if (does("turn_and_exit")) std::exit(0);
    if (does("turn_and_recurse")) return static_cast<std::uint32_t>(recurse(0));
    if (does("turn_and_divide")) {
      volatile int zero = 0;
      return static_cast<std::uint32_t>(7 / zero);
    }
    if (does("turn_and_sleep") && number % 100 == 7) ::sleep(5);
    if (does("turn_and_deadlock")) {
      static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
      ::pthread_mutex_lock(&mutex);
      ::pthread_mutex_lock(&mutex);
    }
    if (does("turn_and_unmask")) ::feenableexcept(FE_ALL_EXCEPT);
    if (does("turn_and_lie")) return 9'999;
    if (does("turn_and_pick_none")) return LEMONADE_PICK_NONE;
    if (does("turn_and_reject")) return LEMONADE_PICK_REJECT;
    return kAsBefore;
  }

  const std::uint64_t made_ns_;
  std::atomic<std::uint64_t> picks_{0};
  std::string filled_;
};

}  // namespace zoo

LEMONADE_STRATEGY(zoo::Turncoat, .id = "com.example.turncoat", .version = "1.0.0", .name = "Turncoat",
                  .vendor = "Example", .doc = "Behaves for four seconds.")
