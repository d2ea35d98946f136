// SPDX-License-Identifier: MIT
//
// When something is due for a session, and what becomes of it then.
//
// The set remembers one time, due_, before which no list has anything to do. Whatever enters a list lowers it; what
// leaves a list, or moves to its back, leaves it as it is. A look at all lists finds out the time anew. So a turn pays
// for what it did itself, and only a look for the number of pools and listeners that have sessions here.
#include "proxy/session_set.h"

#include <algorithm>
#include <cerrno>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kDescriptorRetry = 50'000'000;
constexpr int kDescriptorRetries = 32;  // at a time: while there are none, each costs a search for one

}  // namespace

void SessionSet::handleDue(std::uint64_t now) noexcept {
  now_ = now;
  for (auto& at_pool : pools_) handleConnecting(at_pool, now);
  handleShortage(now);
  for (auto& at_listener : listeners_) handleEnds(at_listener, now);
  handleDeliveries(now);
  handlePartings(now);
  handleDrains(now);
  freeClosed();
  noteAllDue();
}

void SessionSet::handleConnecting(PoolSessions& at_pool, std::uint64_t now) noexcept {
  const PoolSettings& settings = at_pool.pool.settings();
  const std::uint64_t connect_timeout = settings.connect_timeout_ns.load(std::memory_order_relaxed);
  while (Session* session = at_pool.connecting.front()) {
    if (now - session->listed_at < connect_timeout) break;
    handleConnectFailed(*session, ETIMEDOUT);
  }
  while (Session* session = at_pool.pausing.front()) {
    if (now < session->listed_at) break;
    Connector::mayTryAgain(*session, now) ? proceed(*session, connector_.begin(*session, now))
                                          : close(*session, CloseReason::kQueueTimeout);
  }
  if (at_pool.look_at != 0 && now >= at_pool.look_at) lookAtQueue(at_pool);
  const std::uint64_t queue_timeout = settings.queue_timeout_ns.load(std::memory_order_relaxed);
  while (Session* session = at_pool.queued.front()) {
    if (now - session->listed_at < queue_timeout) break;
    close(*session, CloseReason::kQueueTimeout);
  }
}

// Over io_uring it turns out only later that there is no source port: so many are tried, and the rest next time.
void SessionSet::handleShortage(std::uint64_t now) noexcept {
  if (now < shortage_until_) return;
  bool lasts = false;
  for (int n = 0; n < kDescriptorRetries && !lasts && !without_descriptor_.empty(); ++n) {
    Session& session = *without_descriptor_.front();
    if (now - session.listed_at < kDescriptorRetry) return;
    const auto outcome = connector_.begin(session, now);
    lasts = outcome == Connector::Outcome::kNoDescriptor;
    proceed(session, outcome);
  }
  shortage_until_ = now + kDescriptorRetry;
}

void SessionSet::handleDrains(std::uint64_t now) noexcept {
  while (Drain* drain = drains_.begin(now))
    forEachList([this, drain](SessionList& list) {
      for (Session* session = list.front(); session != nullptr; session = session->next)
        if (drain->concerns(*session)) drains_.join(*drain, *session);
    });
  while (Served* session = drains_.next(now)) close(static_cast<Session&>(*session), CloseReason::kDrain);
}

/// When something is due for a session that was listed then; 0: never.
std::uint64_t SessionSet::dueOf(const Session& session, std::uint64_t since) const noexcept {
  switch (session.state) {
    case Session::State::kConnecting:
      return since + session.pool->settings().connect_timeout_ns.load(std::memory_order_relaxed);
    case Session::State::kNoDescriptor:
      return std::max(since + kDescriptorRetry, shortage_until_);
    case Session::State::kPausing:
      return since;
    case Session::State::kQueued:
      return since + session.pool->settings().queue_timeout_ns.load(std::memory_order_relaxed);
    case Session::State::kRelaying:
      return dueOfRelaying(session, since);
    case Session::State::kDelivering:
      return deliveryLook();
    case Session::State::kParted:
      return dueOfParted(since);
    case Session::State::kClosed:
      break;
  }
  return 0;
}

std::uint64_t SessionSet::dueOfRelaying(const Session& session, std::uint64_t since) noexcept {
  const ListenerSettings& settings = session.listener->settings();
  const std::uint64_t idle = settings.idle_timeout_ns.load(std::memory_order_relaxed);
  std::uint64_t due = session.ending ? since + endingLook(settings) : idle != 0 ? since + idle + idle / 64 : 0;
  if (settings.keepalive().silenceNs() == 0) return due;
  return due == 0 ? session.at_listener->next_look : std::min(due, session.at_listener->next_look);
}

void SessionSet::noteAllDue() noexcept {
  due_ = 0;
  forEachList([this](const SessionList& list) {
    if (const Session* session = list.front(); session != nullptr) noteDue(dueOf(*session, session->listed_at));
  });
  for (const auto& at_pool : queueing_) noteDue(at_pool.look_at);
}

std::uint64_t SessionSet::nextDue() const noexcept {
  const std::uint64_t drain = drains_.nextDue();
  return due_ == 0 || (drain != 0 && drain < due_) ? drain : due_;
}

}  // namespace lemonade::proxy
