// SPDX-License-Identifier: MIT
//
// How quiet sessions part; see parting.h.
#include "proxy/session_set.h"

#include "proxy/ends.h"
#include "proxy/parting.h"

namespace lemonade::proxy {

namespace {

/// So long the client of a session that has parted is waited for: many times what a FIN takes there and back.
constexpr std::uint64_t kWaitForClient = 1'000'000'000;

}  // namespace

// Lists of sessions that relay are ordered by when these were listed, which is not after they were active.
void SessionSet::part(PartingOrder& order) noexcept {
  now_ = clock_.nowNs();
  PartingChoice chosen(now_);
  const std::uint64_t since = order.quietSince(now_);
  for (auto& at_listener : listeners_)
    for (Session* session = at_listener.relaying.front(); session != nullptr && session->listed_at <= since;
         session = session->next)
      if (order.concerns(*session, now_)) chosen.show(*session);
  for (Session* session : chosen) {
    if (!order.take(*session)) continue;
    isQuietInKernel(*session) ? part(*session, order.reason()) : order.giveBack(*session);
  }
  freeClosed();
}

// The FIN comes first: between the last look and it a client has no time to ask anything.
void SessionSet::part(Session& session, CloseReason reason) noexcept {
  finish(session.client);
  session.reason = reason;
  account(session);
  relay_.close(session, Side::kBackend, false);
  releasePlace(session);
  enter(session, Session::State::kParted);
}

void SessionSet::handleParted(Session& session, bool spoke) noexcept {
  Drains::forget(session);
  if (spoke) session.at_pool->at.counters.parted_crossed.add();
  relay_.close(session, Side::kClient, spoke);
  enter(session, Session::State::kClosed);
}

void SessionSet::handlePartings(std::uint64_t now) noexcept {
  while (Session* session = parted_.front()) {
    if (now - session->listed_at < kWaitForClient) break;
    handleParted(*session, false);
  }
}

std::uint64_t SessionSet::dueOfParted(std::uint64_t since) noexcept { return since + kWaitForClient; }

}  // namespace lemonade::proxy
