// SPDX-License-Identifier: MIT
//
// A hash that is the same in every process and on every host: FNV-1a over the bytes, finished by splitmix64, which
// makes each bit of the result depend on all of the input. Ids and addresses are short and a table has room for
// millions at most, so a library made for throughput would gain nothing. It is no defence: who chooses the input can
// choose the hash.
#pragma once

#include <lemonade/sdk/sampling.hpp>

#include <cstdint>
#include <string_view>

namespace lemonade::sdk {

/// 64 bits by the bytes of text; another seed gives an independent hash. [any]
constexpr std::uint64_t hashText(std::string_view text, std::uint64_t seed = 0) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  return nthRandom(hash, seed);
}

}  // namespace lemonade::sdk
