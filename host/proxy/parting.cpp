// SPDX-License-Identifier: MIT
#include "proxy/parting.h"

#include "base/hash.h"
#include "proxy/socket_state.h"

#include <poll.h>

#include <algorithm>

namespace lemonade::proxy {

void PartingOrder::add(std::uint64_t backend, std::uint32_t sessions) { backends_.emplace_back(backend, sessions); }

bool PartingOrder::concerns(const Session& session, std::uint64_t now) const noexcept {
  if (session.pool != pool_ || session.target == nullptr) return false;
  if (session.in_exchange || session.exchanges == 0 || session.client.ended) return false;
  if (session.client.isOwed() || session.backend.isOwed()) return false;
  if (now < session.active_at + std::max(quiet_ns_, session.slowest_exchange_ns)) return false;
  if (reason_ == CloseReason::kMaxAge) return now - session.accepted_at >= ageDue(session, max_age_ns_);
  return std::any_of(backends_.begin(), backends_.end(), [&](const auto& one) {
    return one.identity == session.target->identity() && one.left.load(std::memory_order_relaxed) > 0;
  });
}

PartingOrder::OfBackend* PartingOrder::of(const Session& session) noexcept {
  const auto found = std::find_if(backends_.begin(), backends_.end(),
                                  [&](const auto& one) { return one.identity == session.target->identity(); });
  return found != backends_.end() ? &*found : nullptr;
}

bool PartingOrder::take(const Session& session) noexcept {
  if (reason_ == CloseReason::kMaxAge) return true;
  OfBackend* const one = of(session);
  if (one == nullptr) return false;
  if (one->left.fetch_sub(1, std::memory_order_relaxed) > 0) return true;
  one->left.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void PartingOrder::giveBack(const Session& session) noexcept {
  if (OfBackend* const one = of(session); one != nullptr) one->left.fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t ageDue(const Session& session, std::uint64_t max_age_ns) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(&session);  // which it keeps
  const std::uint64_t spread = std::max<std::uint64_t>(max_age_ns / 5, 1);
  return max_age_ns - splitmix64(session.accepted_at + address * kSplitmix64Step) % spread;
}

bool isQuietInKernel(const Session& session) noexcept {
  if (unacknowledged(session.client.fd) != 0 || unacknowledged(session.backend.fd) != 0) return false;
  pollfd both[] = {{session.backend.fd, POLLIN | POLLRDHUP, 0}, {session.client.fd, POLLIN | POLLRDHUP, 0}};
  return ::poll(both, 2, 0) == 0;
}

// Algorithm R (Waterman, as Knuth has it): the n-th comes in with probability kMost / n.
void PartingChoice::show(Session& session) noexcept {
  const std::size_t seen = shown_++;
  if (seen < kMost) {
    chosen_[seen] = &session;
    return;
  }
  const std::size_t at = splitmix64(random_ += kSplitmix64Step) % shown_;
  if (at < kMost) chosen_[at] = &session;
}

}  // namespace lemonade::proxy
