// SPDX-License-Identifier: MIT
#include "balance/per_worker.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

using lemonade::PerWorker;

TEST_CASE("PerWorker keeps what is there when it grows and never shrinks", "[balance]") {
  PerWorker<int> numbers;
  CHECK(numbers.size() == 0);
  numbers.grow(2);
  int& first = numbers[0];
  first = 5;
  numbers.grow(4);
  CHECK(numbers.size() == 4);
  CHECK(&numbers[0] == &first);
  CHECK(numbers[0] == 5);
  CHECK(numbers[3] == 0);
  numbers.grow(1);
  CHECK(numbers.size() == 4);
}

TEST_CASE("PerWorker may be read while it grows", "[balance]") {
  PerWorker<std::atomic<int>> numbers;
  numbers.grow(1);
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load())
      for (std::uint32_t i = 0; i < numbers.size(); ++i) numbers[i].fetch_add(1);
  });
  for (std::uint32_t size = 2; size <= 64; ++size) numbers.grow(size);
  while (numbers[63].load() == 0) std::this_thread::yield();
  done.store(true);
  reader.join();
  CHECK(numbers[63].load() > 0);
}
