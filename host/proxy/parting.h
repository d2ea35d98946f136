// SPDX-License-Identifier: MIT
//
// A parting ends a session that is quiet: its client had an answer to all that it asked, and nothing has moved since,
// or is under way. The backend is closed and the client is sent a FIN; from then on the session is over, for all who
// count. Its socket is kept a while to see what the client does: one that closes has lost nothing. One that sends
// something did so before it saw the FIN: no backend gets that, the client is reset, and it is counted as crossed.
//
// An order goes from the control thread to all workers, which share it; each looks for quiet sessions of its own, and
// takes of those that it finds some by chance. Not the longest quiet ones: of clients that come at regular times these
// are the ones that are about to.
#pragma once

#include "proxy/session.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lemonade::proxy {

/// Which quiet sessions of a pool are to part. Constant but for what is left to do, which any worker counts down.
class PartingOrder {
 public:
  /// Of the pool only the address is used. A session is quiet where nothing has moved for so long, and for as long as
  /// its slowest exchange took. reason is kRebalance or kMaxAge.
  PartingOrder(const Pool& pool, std::uint64_t quiet_ns, CloseReason reason)
      : pool_(&pool), quiet_ns_(quiet_ns), reason_(reason) {}

  /// Before it is shared: of the backend of this identity so many sessions at most. Of kRebalance.
  void add(std::uint64_t backend, std::uint32_t sessions);
  /// Before it is shared: whatever is older than its share of this age, see ageDue(). Of kMaxAge.
  void setMaxAge(std::uint64_t max_age_ns) noexcept { max_age_ns_ = max_age_ns; }

  // Worker thread.
  const Pool* pool() const noexcept { return pool_; }
  CloseReason reason() const noexcept { return reason_; }
  /// Nothing was moved by a session that was listed after this.
  std::uint64_t quietSince(std::uint64_t now) const noexcept { return now > quiet_ns_ ? now - quiet_ns_ : 0; }
  /// The session is meant, and quiet as far as this process knows.
  bool concerns(const Session& session, std::uint64_t now) const noexcept;
  /// Takes one from what is left for its backend; false where nothing is.
  bool take(const Session& session) noexcept;
  /// It was not closed after all.
  void giveBack(const Session& session) noexcept;

 private:
  struct OfBackend {
    OfBackend(std::uint64_t its_identity, std::uint32_t sessions) noexcept : identity(its_identity), left(sessions) {}
    OfBackend(OfBackend&& other) noexcept : identity(other.identity), left(other.left.load()) {}
    std::uint64_t identity;
    std::atomic<std::int64_t> left;
  };

  OfBackend* of(const Session& session) noexcept;

  const Pool* const pool_;
  const std::uint64_t quiet_ns_;
  const CloseReason reason_;
  std::uint64_t max_age_ns_ = 0;
  std::vector<OfBackend> backends_;
};

/// From which age on the session parts where sessions may have this one: between four fifths of it and all of it,
/// another for each session and always the same for one, so that sessions that came together do not part together.
std::uint64_t ageDue(const Session& session, std::uint64_t max_age_ns) noexcept;

/// What only the kernel knows of a session that is quiet otherwise: both sides have acknowledged everything, and of
/// neither anything waits to be read. The client is asked last.
bool isQuietInKernel(const Session& session) noexcept;

/// Some of the sessions that it was shown, by chance; each alike.
class PartingChoice {
 public:
  static constexpr std::size_t kMost = 64;  ///< so many at a worker and a look

  explicit PartingChoice(std::uint64_t seed) noexcept : random_(seed) {}
  void show(Session& session) noexcept;
  Session* const* begin() const noexcept { return chosen_.data(); }
  Session* const* end() const noexcept { return chosen_.data() + (shown_ < kMost ? shown_ : kMost); }

 private:
  std::array<Session*, kMost> chosen_{};
  std::size_t shown_ = 0;
  std::uint64_t random_;
};

}  // namespace lemonade::proxy
