// SPDX-License-Identifier: MIT
//
// A strategy that behaves until it is set off, and then does what LEMONADE_TURNCOAT says, such as "pick:segv". A client
// from 127.0.0.99 sets off a pick, an event and all later answers, a backend whose weight becomes 13 a prepare.
// TURNCOAT_TURNS is 0 in the version that never does. No preflight has such a client or such a weight.
#include <lemonade/sdk/strategy.hpp>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace {

using namespace lemonade::sdk;

constexpr std::uint8_t kTrap[] = {127, 0, 0, 99};
constexpr std::uint32_t kTrapWeight = 13;

int recurse(int depth) {
  volatile char room[4'096];
  room[0] = static_cast<char>(depth);
  return depth < 1 << 30 ? recurse(depth + 1) + room[0] : 0;
}

void misbehave(std::string_view how) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static volatile int zero = 0;
  static volatile int* volatile nowhere = reinterpret_cast<volatile int*>(8);
  if (how == "segv") *nowhere = 1;
  if (how == "fpe") zero = 7 / zero;
  if (how == "abort") std::abort();
  if (how == "throw") throw std::runtime_error("no backend today");
  if (how == "exit") std::exit(0);
  if (how == "_exit") ::_exit(0);
  if (how == "kill") {
    ::usleep(100'000);  // so that the process is seen to be in here
    ::kill(::getpid(), SIGKILL);
  }
  if (how == "recurse") zero = recurse(0);
  if (how == "lock") {
    ::pthread_mutex_lock(&mutex);
    ::pthread_mutex_lock(&mutex);
  }
  if (how == "spin")
    for (volatile bool on = true; on;) {
    }
}

class Turncoat : public Strategy {
 public:
  struct Prepared {};
  static constexpr std::uint32_t kEvents = LEMONADE_EVENT_CLOSED;

  Turncoat() {
    const char* text = std::getenv("LEMONADE_TURNCOAT");
    const std::string_view said = text != nullptr ? text : "";
    const auto colon = said.find(':');
    if (!TURNCOAT_TURNS || colon == said.npos) return;
    where_ = said.substr(0, colon);
    how_ = said.substr(colon + 1);
  }

  std::unique_ptr<Prepared> prepare(View view) {
    for (std::uint32_t i = 0; i < view.size(); ++i)
      if (where_ == "prepare" && view[i].weight == kTrapWeight) misbehave(how_);
    return std::make_unique<Prepared>();
  }

  std::uint32_t pick(const Pick<Prepared>& pick) noexcept {
    if (where_ == "answers" && set_off_.load(std::memory_order_relaxed)) {
      if (how_ == "none") return LEMONADE_PICK_NONE;
      if (how_ == "reject") return LEMONADE_PICK_REJECT;
      if (how_ == "9999") return 9'999;
      ::usleep(2'000);
    }
    if (std::memcmp(pick.connection.client_address + 12, kTrap, sizeof(kTrap)) == 0) {
      if (where_ == "pick") misbehave(how_);
      set_off_.store(true, std::memory_order_relaxed);
    }
    const auto eligible = pick.view.eligible();
    const auto first = next_.fetch_add(1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < eligible.size(); ++i)
      if (const auto index = eligible[(first + i) % eligible.size()]; pick.allowed(index)) return index;
    return LEMONADE_PICK_NONE;
  }

  void onEvent(const lemonade_strategy_event_t&, void*) noexcept {
    if (where_ == "event" && set_off_.load(std::memory_order_relaxed)) misbehave(how_);
  }

 private:
  std::string_view where_;
  std::string_view how_;
  std::atomic<std::uint32_t> next_{0};
  std::atomic<bool> set_off_{false};
};

}  // namespace

LEMONADE_STRATEGY(Turncoat, .id = "com.example.turncoat", .version = TURNCOAT_TURNS ? "2.0.0" : "1.0.0",
                  .name = "Turncoat", .vendor = "Example", .doc = "Round robin that turns when it is set off.")
