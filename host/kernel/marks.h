// SPDX-License-Identifier: MIT
//
// What the marks of packets and of conntrack entries say: whose they are, and which backend a connection goes to. Bits
// from the top: 16 of the tag of the balancer's table, one whether the client's address is kept, one whether the
// backend has sent a reset, one whether a refusal is kept from the client, 13 of the slot.
#pragma once

#include <cstdint>

namespace lemonade::kernel {

inline constexpr std::uint32_t kTagMask = 0xffff0000;
inline constexpr std::uint32_t kKeepBit = 0x8000;
/// Of entries alone: the backend has sent a reset.
inline constexpr std::uint32_t kResetBit = 0x4000;
/// A backend that refuses the connection is kept from the client, who comes again and gets another one.
inline constexpr std::uint32_t kRetryBit = 0x2000;
inline constexpr std::uint32_t kSlotMask = 0x1fff;
/// Slots of backends.
inline constexpr std::uint32_t kFirstSlot = 1;
inline constexpr std::uint32_t kLastSlot = 0x1ffe;

/// The bits that every mark of that table has.
constexpr std::uint32_t tagBits(std::uint16_t tag) noexcept { return std::uint32_t{tag} << 16; }

/// Of a connection that goes to the backend of that slot.
constexpr std::uint32_t backendMark(std::uint16_t tag, std::uint32_t slot, bool keep_source,
                                    bool retry = false) noexcept {
  return tagBits(tag) | (keep_source ? kKeepBit : 0) | (retry ? kRetryBit : 0) | slot;
}

/// Of a SYN that is answered with a RST.
constexpr std::uint32_t refusalMark(std::uint16_t tag) noexcept { return tagBits(tag) | kSlotMask; }
/// Of packets that are sent to end a connection, which conntrack must not see.
constexpr std::uint32_t resetMark(std::uint16_t tag) noexcept { return tagBits(tag) | kKeepBit | kSlotMask; }
/// Of packets that say that the balancer answers its queue; none leaves the machine.
constexpr std::uint32_t heartbeatMark(std::uint16_t tag) noexcept { return tagBits(tag) | kKeepBit; }

constexpr std::uint16_t tagOf(std::uint32_t mark) noexcept { return static_cast<std::uint16_t>(mark >> 16); }
constexpr std::uint32_t slotOf(std::uint32_t mark) noexcept { return mark & kSlotMask; }
constexpr bool keepsSource(std::uint32_t mark) noexcept { return (mark & kKeepBit) != 0; }
constexpr bool isBackendMark(std::uint32_t mark, std::uint16_t tag) noexcept {
  return tagOf(mark) == tag && slotOf(mark) >= kFirstSlot && slotOf(mark) <= kLastSlot;
}

}  // namespace lemonade::kernel
