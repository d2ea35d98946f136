// SPDX-License-Identifier: MIT
#include "kernel/load.h"

#include <fstream>
#include <sstream>

namespace lemonade::kernel {

namespace {

std::optional<std::uint64_t> readNumber(const std::string& path) {
  std::uint64_t value = 0;
  return std::ifstream(path) >> value ? std::optional(value) : std::nullopt;
}

}  // namespace

// Columns: number, owner, packets that wait, copy mode, copy range, dropped, dropped on the way to the owner, and more.
std::optional<QueueLoad> readQueueLoad(std::uint16_t number, const std::string& proc) {
  std::ifstream queues(proc + "/net/netfilter/nfnetlink_queue");
  for (std::string line; std::getline(queues, line);) {
    std::istringstream columns(line);
    std::uint64_t of = 0, owner = 0, mode = 0, range = 0;
    QueueLoad load;
    if (columns >> of >> owner >> load.waiting >> mode >> range >> load.full >> load.unreceived && of == number)
      return load;
  }
  return std::nullopt;
}

std::optional<ConntrackLoad> readConntrackLoad(const std::string& proc) {
  const std::string folder = proc + "/sys/net/netfilter/nf_conntrack_";
  const auto entries = readNumber(folder + "count");
  const auto most = readNumber(folder + "max");
  if (!entries || !most) return std::nullopt;
  return ConntrackLoad{*entries, *most};
}

}  // namespace lemonade::kernel
