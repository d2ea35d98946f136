// SPDX-License-Identifier: MIT
//
// How much room is left where the kernel forwards: packets that wait in our queue, and entries of conntrack. Read from
// /proc, a few microseconds each; what the kernel does not show, or not to this process, is nothing. Any thread, in the
// network namespace of which it speaks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lemonade::kernel {

struct QueueLoad {
  std::uint64_t waiting = 0;     ///< packets now, those that are held included
  std::uint64_t full = 0;        ///< that were dropped since it was bound: it was full
  std::uint64_t unreceived = 0;  ///< and: there was no room to hand them over
};
/// Of the queue with that number. The kernel shows them to root alone.
std::optional<QueueLoad> readQueueLoad(std::uint16_t number, const std::string& proc = "/proc");

struct ConntrackLoad {
  std::uint64_t entries = 0;  ///< now, of this network namespace
  std::uint64_t most = 0;
};
std::optional<ConntrackLoad> readConntrackLoad(const std::string& proc = "/proc");

}  // namespace lemonade::kernel
