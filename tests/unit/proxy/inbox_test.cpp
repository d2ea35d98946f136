// SPDX-License-Identifier: MIT
#include "proxy/inbox.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

namespace lemonade::proxy {
namespace {

std::unique_ptr<Newcomer> newcomer(std::uint16_t port) {
  auto one = std::make_unique<Newcomer>();
  one->local_port = port;
  return one;
}

std::vector<std::uint16_t> serve(Inbox& inbox, std::unique_ptr<Newcomer> all) {
  std::vector<std::uint16_t> ports;
  for (; all != nullptr; all = std::move(all->next)) {
    ports.push_back(all->local_port);
    inbox.noteServed();
  }
  return ports;
}

}  // namespace

TEST_CASE("Inbox gives newcomers in the order they came and has the owner woken for the first", "[proxy]") {
  Inbox inbox;
  inbox.open();
  auto one = newcomer(1), two = newcomer(2), three = newcomer(3);
  CHECK(inbox.put(one, 7) == Inbox::Handed::kFirst);
  CHECK(inbox.put(two, 8) == Inbox::Handed::kMore);
  CHECK(inbox.waiting() == 2);
  CHECK(inbox.waitingSince() == 7);
  auto taken = inbox.takeAll();
  CHECK(inbox.waiting() == 2);
  CHECK(serve(inbox, std::move(taken)) == std::vector<std::uint16_t>{1, 2});
  CHECK(inbox.waiting() == 0);
  CHECK(inbox.takeAll() == nullptr);
  CHECK(inbox.put(three, 9) == Inbox::Handed::kFirst);
  CHECK(serve(inbox, inbox.close()) == std::vector<std::uint16_t>{3});
}

TEST_CASE("A closed Inbox leaves a newcomer to the one that brings it", "[proxy]") {
  Inbox inbox;
  auto one = newcomer(1);
  CHECK_FALSE(inbox.isOpen());
  CHECK(inbox.put(one, 1) == Inbox::Handed::kRefused);
  REQUIRE(one != nullptr);
  CHECK(one->local_port == 1);
  CHECK(inbox.takeAll() == nullptr);
  CHECK(inbox.close() == nullptr);
}

TEST_CASE("Inbox loses nobody while many workers bring and the owner takes, opens and closes", "[proxy]") {
  constexpr int kThreads = 4, kEach = 20'000;
  Inbox inbox;
  inbox.open();
  std::atomic<int> refused{0}, running{kThreads};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        auto one = newcomer(1);
        if (inbox.put(one, 1) == Inbox::Handed::kRefused) ++refused;
      }
      --running;
    });
  std::size_t taken = 0;
  for (int round = 0; running != 0; ++round) {
    taken += serve(inbox, inbox.takeAll()).size();
    if (round % 16 != 0) continue;
    taken += serve(inbox, inbox.close()).size();
    inbox.open();
  }
  for (auto& thread : threads) thread.join();
  taken += serve(inbox, inbox.close()).size();
  CHECK(taken + static_cast<std::size_t>(refused) == kThreads * kEach);
  CHECK(inbox.waiting() == 0);
}

}  // namespace lemonade::proxy
