// SPDX-License-Identifier: MIT
//
// The drains of one worker: which of its sessions have to end, and when. A Session and a Flow are both sessions here. A
// drain lets them run on until it begins; then it looks at every session once, and from there to its end names one
// after another, evenly. Sessions that end by themselves meanwhile leave more time to the others. While nothing drains
// it costs nothing.
//
// A session belongs to one drain at most, the one that ends first. Where that lets it go, because its backend came back
// or the drain was removed, the others look again. Worker thread only.
#pragma once

#include "base/clock.h"
#include "proxy/served.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <cstdint>
#include <list>

namespace lemonade::proxy {

/// When sessions have to end; monotonic nanoseconds.
struct DrainTime {
  std::uint64_t begin_ns = 0;  ///< they run on until here
  std::uint64_t end_ns = 0;    ///< and none is left then
};

/// For a timeout that begins now, in monotonic nanoseconds: what is left after four fifths of it ends over the last, so
/// that clients do not all come back at once.
DrainTime drainTime(std::uint64_t now, Duration timeout) noexcept;

/// The sessions that a drain is about: those at one backend of a pool, those of a listener, or, where it names neither,
/// all. Of the pool only the address is used.
struct DrainScope {
  const Pool* pool = nullptr;
  std::uint64_t backend = 0;  ///< of the pool: its identity
  const Listener* listener = nullptr;

  bool operator==(const DrainScope&) const = default;
};

class Drain {
 public:
  /// Why a backend drains; the drain is void once that holds no more.
  enum class Because { kLeft, kDown };

  /// True where it is about this session, and the reason still holds.
  bool concerns(const Served& session) const noexcept;

 private:
  friend class Drains;
  using Sessions = boost::intrusive::list<
      Served, boost::intrusive::member_hook<Served, boost::intrusive::list_member_hook<>, &Served::drain_hook>>;

  Drain(const DrainScope& scope, DrainTime time, Because because) : scope_(scope), time_(time), because_(because) {}
  std::uint64_t due() const noexcept;

  const DrainScope scope_;
  const DrainTime time_;
  const Because because_;
  bool begun_ = false;         // it has looked at every session
  std::uint64_t last_ns_ = 0;  // once it has begun: when a session was due last
  Sessions sessions_;
};

class Drains {
 public:
  ~Drains() { clear(); }

  /// Begins a drain, which replaces one of the same sessions.
  void add(const DrainScope& scope, DrainTime time, Drain::Because because = Drain::Because::kLeft);
  /// Forgets the drain of these sessions.
  void remove(const DrainScope& scope) noexcept;
  /// Forgets every drain.
  void clear() noexcept;

  /// A drain that has to begin now, or to look again: have it join() every session it concerns. Null where there is
  /// none.
  Drain* begin(std::uint64_t now) noexcept;
  void join(Drain& drain, Served& session) noexcept;
  /// A session that has to end now, which is forgotten; null where there is none.
  Served* next(std::uint64_t now) noexcept;
  /// The session ends, for whatever reason.
  static void forget(Served& session) noexcept;

  /// When begin() or next() has something to give; 0 where nothing drains.
  std::uint64_t nextDue() const noexcept;

 private:
  static void release(Drain& drain) noexcept;
  void lookAgain(const Drain* but) noexcept;

  std::list<Drain> drains_;
};

}  // namespace lemonade::proxy
