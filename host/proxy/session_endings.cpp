// SPDX-License-Identifier: MIT
//
// How sessions end, and when: what the ends of the two streams come to, delivery to the side that is left, and the
// timeouts of sessions on which no byte moves. Bytes that leave the kernel's queue move, too: the reader is slow then.
#include "proxy/session_set.h"

#include "base/log.h"
#include "proxy/socket_state.h"

#include <algorithm>
#include <initializer_list>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kDeliveryCheck = 5'000'000;
constexpr std::uint64_t kSlowDeliveryCheck = 100'000'000;  // once a delivery takes over a second
constexpr std::uint64_t kStalled = 300 * kSecond;          // one side is gone, and the other takes nothing for so long
constexpr std::uint64_t kLongestLook = 15 * kSecond;
constexpr std::uint64_t kShortestLook = kSecond / 10;

std::uint64_t leftOf(const Relay& relay, const Endpoint& endpoint) noexcept {
  if (endpoint.fd < 0 || endpoint.failed || endpoint.broken) return 0;
  return relay.pending(endpoint) + unacknowledged(endpoint.fd);
}

}  // namespace

void SessionSet::handleEnding(Session& session, Ending ending) noexcept {
  switch (ending) {
    case Ending::kOpen:
      relaying_.remove(session);
      session.ending = true;
      return ending_.insert(session, now_);
    case Ending::kDone:
      return close(session, CloseReason::kDone);
    case Ending::kGone:
      return deliver(session, CloseReason::kDone);
    case Ending::kClientReset:
      return deliver(session, CloseReason::kClientReset);
    case Ending::kBackendReset:
      return deliver(session, CloseReason::kBackendReset);
  }
}

// Closes the side that is gone. The other one gets what is still under way to it: after a reset then a reset, else a
// FIN.
void SessionSet::deliver(Session& session, CloseReason reason) noexcept {
  const bool client_gone =
      reason == CloseReason::kClientReset || (reason == CloseReason::kDone && isGone(session.client));
  session.reason = reason;
  if (client_gone) noteSent(session);
  relay_->close(session, client_gone ? session.client : session.backend, false);
  session.progress_at = now_;
  session.left = 0;
  enter(session, Session::State::kDelivering, delivering_);
  relay_->deliver(session);
  finishDelivery(session, now_);
}

void SessionSet::finishDelivery(Session& session, std::uint64_t now) noexcept {
  Endpoint& survivor = session.client.fd >= 0 ? session.client : session.backend;
  if (session.reason == CloseReason::kDone && !survivor.isOwed()) finish(survivor);
  if (hasProgressed(session)) session.progress_at = now;
  if (session.left == 0 || now - session.progress_at >= kStalled) close(session, session.reason);
}

/// Fewer bytes are under way than at the last count. The first count is taken for progress.
bool SessionSet::hasProgressed(Session& session) const noexcept {
  const std::uint64_t before = session.left;
  session.left = leftOf(*relay_, session.client) + leftOf(*relay_, session.backend);
  return session.left != 0 && (before == 0 || session.left < before);
}

// What the client was sent, and what it has acknowledged, for the access log. The client's socket is open.
void SessionSet::noteSent(Session& session) const noexcept {
  const Endpoint& client = session.client;
  session.sent_out = session.bytes_out - std::min(session.bytes_out, client.dropped + relay_->pending(client));
  if (!log::enabled("access", log::Level::kDebug)) return;
  std::uint64_t waiting = unacknowledged(client.fd);
  if (client.finished && waiting != 0) --waiting;  // the FIN
  session.acknowledged_out = session.sent_out - std::min(session.sent_out, waiting);
}

void SessionSet::handleEnds(std::uint64_t now) noexcept {
  const std::uint64_t idle_timeout = settings_.idle_timeout_ns.load(std::memory_order_relaxed);
  while (Session* session = idle_timeout != 0 ? relaying_.front() : nullptr) {
    if (now - session->listed_at < idle_timeout + idle_timeout / 64) break;
    handleIdle(*session, now);
  }
  while (Session* session = ending_.front()) {
    if (now - session->listed_at < endingLook()) break;
    handleEndingIdle(*session, now);
  }
  for (Session *session = delivering_.front(), *next = nullptr; session != nullptr; session = next) {
    next = session->next;
    finishDelivery(*session, now);
  }
  handleSilence(now);
}

void SessionSet::handleIdle(Session& session, std::uint64_t now) noexcept {
  const std::uint64_t idle_timeout = settings_.idle_timeout_ns.load(std::memory_order_relaxed);
  if (now - session.active_at < idle_timeout) return relaying_.moveToBack(session, session.active_at);
  if (!hasProgressed(session)) return close(session, CloseReason::kIdleTimeout);
  session.active_at = now;
  relaying_.moveToBack(session, now);
}

// A backend that ended and whose bytes have all arrived is done; the client keeps it for half_close_timeout. As long as
// bytes are under way to somebody, only idle_timeout counts, and where one side has failed, kStalled.
void SessionSet::handleEndingIdle(Session& session, std::uint64_t now) noexcept {
  if (hasProgressed(session)) session.active_at = now;
  const std::uint64_t silent = now - session.active_at;
  const auto isOver = [silent](std::uint64_t timeout) { return timeout != 0 && silent >= timeout; };
  const bool done = session.backend.ended && session.left == 0;
  if (done && isOver(settings_.half_close_timeout_ns.load(std::memory_order_relaxed)))
    return close(session, CloseReason::kHalfCloseTimeout);
  if (session.client.failed && isOver(kStalled)) return close(session, CloseReason::kClientReset);
  if (session.backend.failed && isOver(kStalled)) return close(session, CloseReason::kBackendReset);
  if (isOver(settings_.idle_timeout_ns.load(std::memory_order_relaxed)))
    return close(session, CloseReason::kIdleTimeout);
  ending_.moveToBack(session, now);
}

/// How long after it was listed a session in ending_ is looked at.
std::uint64_t SessionSet::endingLook() const noexcept {
  std::uint64_t look = kStalled;
  for (const auto* timeout : {&settings_.half_close_timeout_ns, &settings_.idle_timeout_ns})
    if (const std::uint64_t ns = timeout->load(std::memory_order_relaxed); ns != 0) look = std::min(look, ns);
  return look;
}

// Keep-alive does not probe a peer to which bytes are under way: the kernel would send them again for a quarter of an
// hour. A peer that has acknowledged nothing for as long as keep-alive gives it is gone, as if that had found out.
void SessionSet::handleSilence(std::uint64_t now) noexcept {
  const std::uint64_t silent_ns = settings_.keepalive().silenceNs();
  if (silent_ns == 0 || now < next_look_) return;
  next_look_ = now + std::clamp(silent_ns / 4, kShortestLook, kLongestLook);
  const std::uint64_t quiet = silent_ns / 2;
  for (auto* list : {&relaying_, &ending_})
    for (Session *session = list->front(), *next = nullptr; session != nullptr; session = next) {
      next = session->next;
      if (now - session->listed_at < quiet) break;
      if (!session->acknowledged && now - session->active_at >= quiet)
        judgeSilence(*session, static_cast<std::uint32_t>(silent_ns / 1'000'000));
    }
}

void SessionSet::judgeSilence(Session& session, std::uint32_t silent_ms) noexcept {
  session.acknowledged = unacknowledged(session.client.fd) == 0 && unacknowledged(session.backend.fd) == 0;
  if (session.acknowledged) return;
  for (Endpoint* endpoint : {&session.client, &session.backend}) {
    const Endpoint& other = endpoint == &session.client ? session.backend : session.client;
    // What it sent before it fell silent may still wait for the other side.
    if (other.isOwed() || !isSilent(endpoint->fd, silent_ms)) continue;
    endpoint->failed = true;
    endpoint->reset = !endpoint->ended;
    return handleEnding(session, endingOf(session));
  }
}

/// When handleEnds has to look although no timeout of a session is over; 0: it has not.
std::uint64_t SessionSet::nextLook() const noexcept {
  if (!delivering_.empty())
    return now_ + (now_ - delivering_.back()->listed_at < kSecond ? kDeliveryCheck : kSlowDeliveryCheck);
  const bool relays = !relaying_.empty() || !ending_.empty();
  return relays && settings_.keepalive().silenceNs() != 0 ? next_look_ : 0;
}

}  // namespace lemonade::proxy
