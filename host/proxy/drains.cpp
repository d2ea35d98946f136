// SPDX-License-Identifier: MIT
#include "proxy/drains.h"

#include "balance/backend.h"
#include "proxy/listener.h"

#include <algorithm>

namespace lemonade::proxy {

DrainTime drainTime(std::uint64_t now, Duration timeout) noexcept {
  const auto whole = static_cast<std::uint64_t>(timeout.count());
  return {now + whole / 5 * 4, now + whole};
}

bool Drain::concerns(const Served& session) const noexcept {
  // A listener that is made later may have the same address.
  if (scope_.listener != nullptr) return session.listener == scope_.listener && session.listener->isRemoved();
  if (scope_.pool == nullptr) return true;
  // A backend that came back meanwhile has the same identity.
  if (session.pool != scope_.pool || session.target == nullptr || session.target->identity() != scope_.backend)
    return false;
  return because_ == Because::kLeft ? session.target->draining() : !session.target->fit();
}

// The time that is left is shared out again after each session, so the last one ends exactly at the end.
std::uint64_t Drain::due() const noexcept {
  if (!begun_) return std::max(last_ns_, time_.begin_ns);
  return last_ns_ + (time_.end_ns - last_ns_) / std::max<std::size_t>(sessions_.size(), 1);
}

void Drains::add(const DrainScope& scope, DrainTime time, Drain::Because because) {
  remove(scope);
  drains_.push_back(Drain(scope, time, because));
}

void Drains::remove(const DrainScope& scope) noexcept {
  bool released = false;
  for (auto& drain : drains_) {
    if (drain.scope_ != scope) continue;
    released = released || !drain.sessions_.empty();
    release(drain);
  }
  drains_.remove_if([&](const Drain& drain) { return drain.scope_ == scope; });
  if (released) lookAgain(nullptr);
}

void Drains::clear() noexcept {
  for (auto& drain : drains_) release(drain);
  drains_.clear();
}

Drain* Drains::begin(std::uint64_t now) noexcept {
  for (auto& drain : drains_) {
    if (drain.begun_ || now < drain.time_.begin_ns) continue;
    drain.begun_ = true;
    drain.last_ns_ = drain.last_ns_ == 0 ? drain.time_.begin_ns : std::min(now, drain.time_.end_ns);
    return &drain;
  }
  return nullptr;
}

void Drains::join(Drain& drain, Served& session) noexcept {
  if (session.drain != nullptr && session.drain->time_.end_ns <= drain.time_.end_ns) return;
  forget(session);
  session.drain = &drain;
  drain.sessions_.push_back(session);
}

Served* Drains::next(std::uint64_t now) noexcept {
  for (auto it = drains_.begin(); it != drains_.end();) {
    while (it->begun_ && !it->sessions_.empty() && it->due() <= now) {
      it->last_ns_ = it->due();
      Served& session = it->sessions_.front();
      const bool still = it->concerns(session);
      forget(session);
      if (still) return &session;
      lookAgain(&*it);
    }
    // Till its end it may have to take over what an earlier one lets go.
    const bool over = it->begun_ && it->sessions_.empty() && it->time_.end_ns <= now;
    it = over ? drains_.erase(it) : std::next(it);
  }
  return nullptr;
}

// A session that one drain lets go unended may be another's, which took it for ended by the first.
void Drains::lookAgain(const Drain* but) noexcept {
  for (auto& drain : drains_)
    if (&drain != but) drain.begun_ = false;
}

void Drains::forget(Served& session) noexcept {
  if (session.drain == nullptr) return;
  auto& sessions = session.drain->sessions_;
  sessions.erase(sessions.iterator_to(session));
  session.drain = nullptr;
}

std::uint64_t Drains::nextDue() const noexcept {
  std::uint64_t due = 0;
  for (const auto& drain : drains_)
    if (due == 0 || drain.due() < due) due = drain.due();
  return due;
}

void Drains::release(Drain& drain) noexcept {
  while (!drain.sessions_.empty()) forget(drain.sessions_.front());
}

}  // namespace lemonade::proxy
