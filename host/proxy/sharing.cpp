// SPDX-License-Identifier: MIT
#include "proxy/sharing.h"

#include <algorithm>
#include <cstdint>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kSlack = 2;            // sessions above the mean that are nothing
constexpr std::uint64_t kSlackOfMean = 6;      // and this part of it
constexpr std::uint64_t kStuck = 100'000'000;  // a worker may wait so long for a core on a busy machine

std::uint64_t load(const Mailbox& mailbox) noexcept {
  return mailbox.counters.sessions.value() + mailbox.inbox.waiting();
}

}  // namespace

// A worker does not come to those that were handed to it: a plugin holds it up.
bool Sharing::isStuck(const Mailbox& mailbox) const noexcept {
  return mailbox.inbox.waiting() != 0 && clock_.nowNs() > mailbox.inbox.waitingSince() + kStuck;
}

Mailbox& Sharing::choose(Mailbox& own) noexcept {
  const std::uint64_t mine = load(own);
  if (mine <= kSlack) return own;
  Mailbox* fewest = &own;
  std::uint64_t least = mine, sum = 0, workers = 0;
  for (std::uint32_t i = 0; i < mailboxes_.size(); ++i) {
    Mailbox& mailbox = mailboxes_[i];
    if (!mailbox.inbox.isOpen()) continue;
    const std::uint64_t its = load(mailbox);
    sum += its;
    ++workers;
    if (its >= least || isStuck(mailbox)) continue;
    least = its;
    fewest = &mailbox;
  }
  return mine * workers > sum + std::max(kSlack * workers, sum / kSlackOfMean) ? *fewest : own;
}

}  // namespace lemonade::proxy
