// SPDX-License-Identifier: MIT
//
// Streams of bytes that both ends can make up on their own: what arrives is compared byte by byte, however long it is,
// without either end holding it. Any thread.
#pragma once

#include "support/socket.h"

#include <string>
#include <string_view>

namespace lemonade::test {

/// An endless stream of random-looking bytes; different seeds give different streams.
class Pattern {
 public:
  explicit Pattern(unsigned seed) : seed_(seed) {}
  /// Bytes from a position on: at least one, at most limit.
  std::string_view at(std::size_t position, std::size_t limit) const;
  /// The first size bytes.
  std::string bytes(std::size_t size) const;

 private:
  unsigned seed_;
};

/// Sends the bytes [from, to) of a pattern.
void transmit(Socket& socket, const Pattern& pattern, std::size_t from, std::size_t to);
/// Receives size bytes; true where they are the pattern's.
bool verify(Socket& socket, const Pattern& pattern, std::size_t size);
/// Sends size bytes of one pattern while it receives as many of the other; true where those were right.
bool exchange(Socket& socket, const Pattern& sent, const Pattern& received, std::size_t size);

}  // namespace lemonade::test
