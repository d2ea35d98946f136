// SPDX-License-Identifier: MIT
#include "kernel/exchange_layout.h"

#include <catch2/catch.hpp>

#include <cstdint>
#include <random>
#include <vector>

namespace {

constexpr std::uint32_t kListenerPort = 80;

std::uint32_t placeOf(const std::uint32_t (&source)[4], std::uint32_t source_port, std::uint64_t key) {
  const std::uint32_t listener[4] = {0x0a4d0101};
  return lemonade_flow_place(lemonade_flow_hash(source, listener, source_port << 16 | kListenerPort, key));
}

}  // namespace

TEST_CASE("The connections of one client to one listener have places of their own", "[kernel]") {
  const std::uint32_t client[4] = {0x0a000001};
  std::vector<bool> taken(LEMONADE_WORDS);
  std::uint32_t shared = 0;
  for (std::uint32_t port = 0; port < LEMONADE_WORDS; ++port) {
    const std::uint32_t place = placeOf(client, port, 0x0123456789abcdef);
    shared += taken[place];
    taken[place] = true;
  }
  CHECK(shared == 0);
}

TEST_CASE("A client that comes to two listeners from one port is two flows", "[kernel]") {
  const std::uint32_t client[4] = {0x0a000001};
  const std::uint32_t one[4] = {0x0a4d0101}, other[4] = {0x0a4d0102};
  CHECK(lemonade_flow_hash(client, one, kListenerPort, 7) != lemonade_flow_hash(client, other, kListenerPort, 7));
}

TEST_CASE("No client can choose an address and a port that share a place whatever the key is", "[kernel]") {
  const std::uint32_t word = GENERATE(0U, 1U, 2U, 3U);
  std::mt19937_64 random(1);
  std::uint32_t client[4] = {1, 2, 3, 4};
  for (std::uint32_t bit = 0; bit < 32; ++bit)
    for (std::uint32_t port_bit = 0; port_bit < 16; ++port_bit) {
      std::uint32_t other[4] = {client[0], client[1], client[2], client[3]};
      other[word] ^= 1U << bit;
      int shared = 0;
      for (int n = 0; n < 200; ++n) {
        const std::uint64_t key = random();
        shared += placeOf(client, 1'000, key) == placeOf(other, 1'000 ^ (1U << port_bit), key);
      }
      CAPTURE(word, bit, port_bit);
      CHECK(shared < 5);  // by chance, one of 65,536
    }
}
