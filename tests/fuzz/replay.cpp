// SPDX-License-Identifier: MIT
//
// A fuzz target without a fuzzer: replay FOLDER... runs it over every file of the folders, whole, cut short and damaged
// in ways that are the same each time. Takes a second, needs no clang. Exits 1 where there is nothing to run.
#include "target.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kCuts = 48;
constexpr std::size_t kDamaged = 200;

/// A copy of exactly that size, so that a sanitizer sees a read beyond its end.
void run(const Bytes& bytes, std::size_t size) {
  const Bytes exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::uint32_t next(std::uint32_t& random) { return (random = random * 1'664'525 + 1'013'904'223) >> 8; }

void damage(Bytes& bytes, std::uint32_t& random) {
  constexpr std::uint8_t kOdd[] = {0x00, 0xff, 0x7f, 0x80, '\n', '"', '-', '9'};
  for (std::uint32_t left = 1 + next(random) % 4; left > 0; --left) {
    auto& byte = bytes[next(random) % bytes.size()];
    byte = next(random) % 2 == 0 ? kOdd[next(random) % std::size(kOdd)] : static_cast<std::uint8_t>(next(random));
  }
}

void replay(const Bytes& seed) {
  run(seed, seed.size());
  if (seed.empty()) return;
  for (std::size_t i = 0; i < kCuts; ++i) run(seed, seed.size() * i / kCuts);
  std::uint32_t random = 1;
  for (std::size_t i = 0; i < kDamaged; ++i) {
    Bytes copy = seed;
    damage(copy, random);
    run(copy, copy.size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i)
    for (const auto& entry : std::filesystem::directory_iterator(argv[i]))
      if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    std::printf("%s\n", file.c_str());
    std::fflush(stdout);  // the last line of a run that crashes
    replay(Bytes(std::istreambuf_iterator<char>(stream), {}));
  }
  return files.empty() ? 1 : 0;
}
