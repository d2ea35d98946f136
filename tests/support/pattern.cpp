// SPDX-License-Identifier: MIT
//
// Streams of bytes: see pattern.h. One block of random bytes is made once; a stream walks it in steps that depend on
// its seed, and the block's length is a prime so that no buffer size divides it.
#include "support/pattern.h"

#include <random>

namespace lemonade::test {
namespace {

constexpr std::size_t kBlock = 1'048'573;
constexpr std::size_t kPiece = 128 * 1024;
constexpr Millis kPatience = 60s;

const std::string& block() {
  static const std::string bytes = [] {
    std::mt19937 random(20'240'601);
    std::string made(kBlock, '\0');
    for (auto& byte : made) byte = static_cast<char>(random());
    return made;
  }();
  return bytes;
}

}  // namespace

std::string_view Pattern::at(std::size_t position, std::size_t limit) const {
  const std::size_t start = (position + seed_ * std::size_t{7'919}) % kBlock;
  return std::string_view(block()).substr(start, limit);
}

std::string Pattern::bytes(std::size_t size) const {
  std::string made;
  while (made.size() < size) made += at(made.size(), size - made.size());
  return made;
}

void transmit(Socket& socket, const Pattern& pattern, std::size_t from, std::size_t to) {
  while (from < to) {
    const auto piece = pattern.at(from, std::min(kPiece, to - from));
    socket.send(piece, kPatience);
    from += piece.size();
  }
}

bool verify(Socket& socket, const Pattern& pattern, std::size_t size) {
  std::string buffer(kPiece, '\0');
  bool same = true;
  for (std::size_t position = 0; position < size;) {
    const auto expected = pattern.at(position, std::min(kPiece, size - position));
    const auto got = socket.receiveSome(buffer.data(), expected.size(), kPatience);
    if (got == 0) return false;
    same = same && expected.substr(0, got) == std::string_view(buffer).substr(0, got);
    position += got;
  }
  return same;
}

bool exchange(Socket& socket, const Pattern& sent, const Pattern& received, std::size_t size) {
  std::string buffer(kPiece, '\0');
  bool same = true;
  std::size_t out = 0;
  for (std::size_t in = 0; in < size || out < size;) {
    pollfd entry{socket.fd(), static_cast<short>((in < size ? POLLIN : 0) | (out < size ? POLLOUT : 0)), 0};
    if (::poll(&entry, 1, Deadline(kPatience).remainingMillis()) != 1) throw TimeoutError("timed out exchanging");
    if (out < size) out += socket.sendSome(sent.at(out, std::min(kPiece, size - out)));
    if (in < size && (entry.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const auto expected = received.at(in, std::min(kPiece, size - in));
      const auto got = socket.receiveSome(buffer.data(), expected.size(), kPatience);
      if (got == 0) return false;
      same = same && expected.substr(0, got) == std::string_view(buffer).substr(0, got);
      in += got;
    }
  }
  return same;
}

}  // namespace lemonade::test
