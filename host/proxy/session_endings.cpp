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

std::uint64_t leftOf(const Transport& transport, const Session& session, Side side) noexcept {
  const Endpoint& endpoint = session.endpoint(side);
  if (endpoint.fd < 0 || endpoint.failed || endpoint.broken) return 0;
  return transport.pending(session, side) + unacknowledged(endpoint.fd);
}

}  // namespace

void SessionSet::handleEnding(Session& session, Ending ending) noexcept {
  switch (ending) {
    case Ending::kOpen:
      session.at_listener->relaying.remove(session);
      session.ending = true;
      session.at_listener->ending.insert(session, now_);
      return noteDue(dueOf(session, now_));
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
  client_gone ? noteSent(session) : noteTaken(session);
  relay_.close(session, client_gone ? Side::kClient : Side::kBackend, false);
  session.progress_at = now_;
  session.left = 0;
  enter(session, Session::State::kDelivering);
  relay_.deliver(session);
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
  session.left = leftOf(relay_, session, Side::kClient) + leftOf(relay_, session, Side::kBackend);
  return session.left != 0 && (before == 0 || session.left < before);
}

// What the client was sent, and what it has acknowledged, for those who log sessions. The client's socket is open.
void SessionSet::noteSent(Session& session) const noexcept {
  const Endpoint& client = session.client;
  session.sent_out =
      session.bytes_out - std::min(session.bytes_out, client.dropped + relay_.pending(session, Side::kClient));
  if (!mailbox_.records.wanted() && !log::enabled("access", log::Level::kDebug)) return;
  std::uint64_t waiting = unacknowledged(client.fd);
  if (client.finished && waiting != 0) --waiting;  // the FIN
  session.acknowledged_out = session.sent_out - std::min(session.sent_out, waiting);
}

// What the backend has acknowledged, for those who log sessions. Its socket is open. A header that went before does not
// matter: what waits is what came last.
void SessionSet::noteTaken(Session& session) const noexcept {
  if (!mailbox_.records.wanted()) return;
  const Endpoint& backend = session.backend;
  std::uint64_t waiting = unacknowledged(backend.fd);
  if (backend.finished && waiting != 0) --waiting;  // the FIN
  waiting += backend.dropped + relay_.pending(session, Side::kBackend);
  session.acknowledged_in = session.bytes_in - std::min(session.bytes_in, waiting);
}

void SessionSet::handleEnds(ListenerAtWorker& at_listener, std::uint64_t now) noexcept {
  const Listener& listener = *at_listener.listener;
  const std::uint64_t idle_timeout = listener.settings().idle_timeout_ns.load(std::memory_order_relaxed);
  while (Session* session = idle_timeout != 0 ? at_listener.relaying.front() : nullptr) {
    if (now - session->listed_at < idle_timeout + idle_timeout / 64) break;
    handleIdle(*session, now);
  }
  while (Session* session = at_listener.ending.front()) {
    if (now - session->listed_at < endingLook(listener.settings())) break;
    handleEndingIdle(*session, now);
  }
  handleSilence(at_listener, listener, now);
}

void SessionSet::handleDeliveries(std::uint64_t now) noexcept {
  for (Session *session = delivering_.front(), *next = nullptr; session != nullptr; session = next) {
    next = session->next;
    finishDelivery(*session, now);
  }
}

void SessionSet::handleIdle(Session& session, std::uint64_t now) noexcept {
  SessionList& relaying = session.at_listener->relaying;
  const std::uint64_t idle_timeout = session.listener->settings().idle_timeout_ns.load(std::memory_order_relaxed);
  if (now - session.active_at < idle_timeout) return relaying.moveToBack(session, session.active_at);
  if (!hasProgressed(session)) return close(session, CloseReason::kIdleTimeout);
  session.active_at = now;
  relaying.moveToBack(session, now);
}

// A backend that ended and whose bytes have all arrived is done; the client keeps it for half_close_timeout. As long as
// bytes are under way to somebody, only idle_timeout counts, and where one side has failed, kStalled.
void SessionSet::handleEndingIdle(Session& session, std::uint64_t now) noexcept {
  const ListenerSettings& settings = session.listener->settings();
  if (hasProgressed(session)) session.active_at = now;
  const std::uint64_t silent = now - session.active_at;
  const auto isOver = [silent](std::uint64_t timeout) { return timeout != 0 && silent >= timeout; };
  const bool done = session.backend.ended && session.left == 0;
  if (done && isOver(settings.half_close_timeout_ns.load(std::memory_order_relaxed)))
    return close(session, CloseReason::kHalfCloseTimeout);
  if (session.client.failed && isOver(kStalled)) return close(session, CloseReason::kClientReset);
  if (session.backend.failed && isOver(kStalled)) return close(session, CloseReason::kBackendReset);
  if (isOver(settings.idle_timeout_ns.load(std::memory_order_relaxed)))
    return close(session, CloseReason::kIdleTimeout);
  session.at_listener->ending.moveToBack(session, now);
}

/// How long after it was listed a session that is ending is looked at.
std::uint64_t SessionSet::endingLook(const ListenerSettings& settings) noexcept {
  std::uint64_t look = kStalled;
  for (const auto* timeout : {&settings.half_close_timeout_ns, &settings.idle_timeout_ns})
    if (const std::uint64_t ns = timeout->load(std::memory_order_relaxed); ns != 0) look = std::min(look, ns);
  return look;
}

// Keep-alive does not probe a peer to which bytes are under way: the kernel would send them again for a quarter of an
// hour. A peer that has acknowledged nothing for as long as keep-alive gives it is gone, as if that had found out.
void SessionSet::handleSilence(ListenerAtWorker& at_listener, const Listener& listener, std::uint64_t now) noexcept {
  const std::uint64_t silent_ns = listener.settings().keepalive().silenceNs();
  if (silent_ns == 0 || now < at_listener.next_look) return;
  at_listener.next_look = now + std::clamp(silent_ns / 4, kShortestLook, kLongestLook);
  const std::uint64_t quiet = silent_ns / 2;
  for (auto* list : {&at_listener.relaying, &at_listener.ending})
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

/// When deliveries, of which there are, are to be looked at next.
std::uint64_t SessionSet::deliveryLook() const noexcept {
  return now_ + (now_ - delivering_.back()->listed_at < kSecond ? kDeliveryCheck : kSlowDeliveryCheck);
}

}  // namespace lemonade::proxy
