// SPDX-License-Identifier: MIT
//
// What the fuzz targets have in common. A target is one function that must bear any bytes: it feeds them to a reader of
// hostile input and demands of the outcome what that reader promises. libFuzzer drives it in the preset `fuzz`
// (tools/fuzz); everywhere else replay.cpp does, with the corpus, so that no target rots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

/// The entry of a target, as libFuzzer calls it. One thread.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace lemonade::fuzz {

/// Ends the process where a promise does not hold: that is a finding.
inline void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

inline std::string_view textOf(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Cuts off and returns what precedes the separator, all where there is none.
inline std::string_view cut(std::string_view& rest, std::string_view separator) {
  const auto at = rest.find(separator);
  const auto head = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + separator.size());
  return head;
}

/// The bytes in pieces whose sizes repeat those of `sizes`, one byte a size; a piece has at least one byte.
template <class Take>
void inPieces(std::string_view bytes, std::string_view sizes, Take&& take) {
  for (std::size_t i = 0; !bytes.empty(); ++i) {
    const std::size_t wanted = sizes.empty() ? bytes.size() : static_cast<unsigned char>(sizes[i % sizes.size()]) + 1u;
    const auto piece = bytes.substr(0, wanted);
    bytes.remove_prefix(piece.size());
    if (!take(piece)) return;
  }
}

}  // namespace lemonade::fuzz
