// SPDX-License-Identifier: MIT
//
// A strategy that behaves until it is set off, and then does what its option says, or LEMONADE_TURNCOAT, such as
// "pick:segv". A client from 127.0.0.99 sets off a pick, an event and all later answers, a backend whose weight becomes
// 13 a prepare. TURNCOAT_TURNS is 0 in the version that never does. No preflight has such a client or such a weight.
#include "misdeed.h"

#include <lemonade/sdk/strategy.hpp>

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace {

using namespace lemonade::sdk;

constexpr std::uint8_t kTrap[] = {127, 0, 0, 99};
constexpr std::uint32_t kTrapWeight = 13;

class Turncoat : public Strategy {
 public:
  struct Prepared {};
  static constexpr std::uint32_t kEvents = LEMONADE_EVENT_CLOSED;
  static constexpr lemonade_option_t kOptions[] = {
      option("deed", LEMONADE_OPTION_STRING, "", "What it does, such as pick:segv.")};

  explicit Turncoat(const Options& options) {
    const char* text = std::getenv("LEMONADE_TURNCOAT");
    std::string said(options.text("deed"));
    if (said.empty() && text != nullptr) said = text;
    const auto colon = said.find(':');
    if (!TURNCOAT_TURNS || colon == said.npos) return;
    where_ = said.substr(0, colon);
    how_ = said.substr(colon + 1);
  }

  std::unique_ptr<Prepared> prepare(View view) {
    for (std::uint32_t i = 0; i < view.size(); ++i)
      if (where_ == "prepare" && view[i].weight == kTrapWeight) bad::misbehave(how_);
    return std::make_unique<Prepared>();
  }

  std::uint32_t pick(const Pick<Prepared>& pick) noexcept {
    if (where_ == "answers" && set_off_.load(std::memory_order_relaxed)) {
      if (how_ == "none") return LEMONADE_PICK_NONE;
      if (how_ == "reject") return LEMONADE_PICK_REJECT;
      if (how_ == "9999") return 9'999;
      ::usleep(5'000);
    }
    if (std::memcmp(pick.connection.client_address + 12, kTrap, sizeof(kTrap)) == 0) {
      if (where_ == "pick") bad::misbehave(how_);
      set_off_.store(true, std::memory_order_relaxed);
    }
    const auto eligible = pick.view.eligible();
    const auto first = next_.fetch_add(1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < eligible.size(); ++i)
      if (const auto index = eligible[(first + i) % eligible.size()]; pick.allowed(index)) return index;
    return LEMONADE_PICK_NONE;
  }

  void onEvent(const lemonade_strategy_event_t&, void*) noexcept {
    if (where_ == "event" && set_off_.load(std::memory_order_relaxed)) bad::misbehave(how_);
  }

 private:
  std::string where_;
  std::string how_;
  std::atomic<std::uint32_t> next_{0};
  std::atomic<bool> set_off_{false};
};

}  // namespace

LEMONADE_STRATEGY(Turncoat, .id = "com.example.turncoat", .version = TURNCOAT_TURNS ? "2.0.0" : "1.0.0",
                  .name = "Turncoat", .vendor = "Example", .doc = "Round robin that turns when it is set off.")
