// SPDX-License-Identifier: MIT
//
// The first packet of a TCP connection, as anybody may have sent it. Pure.
#pragma once

#include "kernel/tuple.h"

#include <cstddef>
#include <optional>
#include <span>

namespace lemonade::kernel {

/// As many bytes of a packet are enough for parseSyn(): the longest header of IPv4 with that of TCP, or of IPv6 with
/// some of the extensions.
inline constexpr std::size_t kPacketHeadSize = 128;

/// Whose connection a packet begins, which starts with its IP header: a whole segment of TCP with SYN, and without ACK,
/// RST and FIN. Nothing for anything else: fragments, packets whose lengths contradict each other, headers that go
/// beyond the bytes, extension headers of IPv6 other than hop-by-hop options, routing and destination options, or more
/// than four of these. The bytes may be only the head of the packet. Checksums are the kernel's to judge.
std::optional<Tuple> parseSyn(std::span<const std::byte> packet) noexcept;

}  // namespace lemonade::kernel
