// SPDX-License-Identifier: MIT
//
// Packets as tests write them: each header is a text of bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace lemonade::test {

enum Flag : unsigned char {
  kFin = 0x01,
  kSyn = 0x02,
  kRst = 0x04,
  kPush = 0x08,
  kAck = 0x10,
  kEce = 0x40,
  kCwr = 0x80
};

inline std::string word(std::size_t number) {
  return {static_cast<char>(number >> 8 & 0xff), static_cast<char>(number & 0xff)};
}

/// From port 40000 to port 9000, with options of so many bytes.
inline std::string tcp(unsigned flags = kSyn, std::size_t options = 0) {
  return word(40000) + word(9000) + std::string(8, '\x01') + static_cast<char>((5 + options / 4) << 4) +
         static_cast<char>(flags) + word(65535) + word(0) + word(0) + std::string(options, '\x01');
}

/// From 10.0.0.1 to 10.0.0.2.
inline std::string ipv4(const std::string& payload, std::size_t options = 0, char protocol = 6,
                        std::size_t fragment = 0) {
  return std::string(1, static_cast<char>(0x45 + options / 4)) + '\0' + word(20 + options + payload.size()) + word(1) +
         word(fragment) + '\x40' + protocol + word(0) + std::string("\x0a\x00\x00\x01\x0a\x00\x00\x02", 8) +
         std::string(options, '\x01') + payload;
}

/// From 2001:db8::1 to 2001:db8::2; next is the number of the header that follows.
inline std::string ipv6(const std::string& payload, char next = 6) {
  const std::string network("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 15);
  return std::string("\x60\x00\x00\x00", 4) + word(payload.size()) + next + '\x40' + network + '\x01' + network +
         '\x02' + payload;
}

/// An extension header of IPv6 that has 8 * (1 + more) bytes.
inline std::string extension(char next, std::size_t more = 0) {
  return std::string(1, next) + static_cast<char>(more) + std::string(6 + 8 * more, '\0');
}

inline std::span<const std::byte> bytesOf(const std::string& packet) {
  return {reinterpret_cast<const std::byte*>(packet.data()), packet.size()};
}

}  // namespace lemonade::test
