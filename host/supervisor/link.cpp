// SPDX-License-Identifier: MIT
#include "supervisor/link.h"

namespace lemonade::supervisor {

bool Link::hold(const std::vector<std::pair<std::string, int>>& sockets) const {
  if (!exists()) return true;
  std::string names;
  std::vector<int> descriptors;
  for (const auto& [name, fd] : sockets) {
    names += name + "\n";
    descriptors.push_back(fd);
  }
  return send(channel_.get(), kHold, names, descriptors);
}

void Link::ready() const noexcept {
  if (exists()) (void)send(channel_.get(), kReady);
}

void Link::failed(std::string_view why) const noexcept {
  if (exists()) (void)send(channel_.get(), kFailed, why);
}

bool Link::quarantine(const std::vector<Quarantined>& plugins) const {
  if (!exists()) return true;
  const Fd file = writeQuarantined(plugins);
  const int descriptor[] = {file.get()};
  return file && send(channel_.get(), kQuarantine, {}, descriptor);
}

bool Link::keepEarlier(const std::vector<int>& files) const {
  return !exists() || send(channel_.get(), kEarlier, {}, files);
}

}  // namespace lemonade::supervisor
