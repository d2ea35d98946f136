// SPDX-License-Identifier: MIT
//
// Where sessions of a pool are too many, and how many of them are to be closed so that their clients come again
// elsewhere. Only a decision: it is shown the sessions of each backend twice a second, and names backends and numbers.
//
// 1. A backend has too many where it has more than its share by weight; unless the strategy of late has given it more
//    than that, and would send back what is closed. One of a later tier has too many as soon as the first has room.
// 2. Where sessions are even so, one has too many, too, that the strategy avoids: it gets far fewer new sessions than
//    it has. It counts as avoided until it is seen to get its share again.
// 3. It begins where shares are far apart, ends where they are even, and closes a part of what is too much each time:
//    it comes near, but not beyond.
// 4. It may close few sessions at first, and more as it sees sessions come to the backends that were to get some. Where
//    too few come, clients do not reconnect, or the strategy sends them back: it rests, each time for longer.
//
// A plain value, one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace lemonade {

/// One backend that may be picked, as a look at its pool sees it.
struct BackendShare {
  static constexpr std::uint32_t kUnlimited = std::numeric_limits<std::uint32_t>::max();

  std::uint64_t identity = 0;
  double weight = 0;                ///< in proportion to the others; 0: of a later tier
  std::uint32_t sessions = 0;       ///< now
  std::uint32_t room = kUnlimited;  ///< for so many more
  std::uint64_t connects = 0;       ///< sessions that it has ever got
};

class Rebalance {
 public:
  enum class State { kEven, kMoving, kResting };

  /// So many sessions of that backend are to be closed.
  struct Order {
    std::uint64_t identity = 0;
    std::uint32_t sessions = 0;

    bool operator==(const Order&) const = default;
  };

  /// How far it has come since it first moved sessions after they were even, after other backends could be picked, or
  /// after a rest.
  struct Progress {
    std::uint64_t closed = 0;  ///< sessions
    std::uint64_t gained = 0;  ///< sessions that came to backends which were to get some
  };

  static constexpr std::uint32_t kMostAtOnce = 100;  ///< sessions that one look has closed

  /// A look at all backends that may be picked, in monotonic nanoseconds; none where nothing is to be closed, such as
  /// in a panic. closed: sessions that were closed as ordered, ever. No more are ordered of a backend than it has.
  std::vector<Order> look(std::uint64_t now_ns, const std::vector<BackendShare>& backends, std::uint64_t closed);

  State state() const noexcept { return state_; }
  const Progress& progress() const noexcept { return progress_; }
  /// How long it rests, or rested last, in nanoseconds.
  std::uint64_t restNs() const noexcept { return rest_ns_; }

 private:
  /// What is remembered of a backend.
  struct Memory {
    std::uint64_t identity = 0;
    bool first_tier = false;
    std::uint64_t connects = 0;  // at the last look
    double recent = 0;           // connects of late
    double own = 0;              // of these, since it has no more sessions than its share by weight
    double own_of = 0;           // and of all backends meanwhile
    bool avoided = false;        // by the strategy, as far as it has been seen
    bool receives = false;       // sessions that are moved should come here
  };
  /// How far one backend is from its share, in sessions.
  struct Distance {
    double surplus = 0;
    double deficit = 0;
  };
  struct Plan {
    std::vector<Distance> distances;
    double movable = 0;    // sessions that are too many somewhere and have room elsewhere
    double receivers = 0;  // the share by weight of the backends that have it
    bool far = false;
    bool even = true;
    bool even_by_weight = true;
  };

  bool remembers(const std::vector<BackendShare>& backends) const noexcept;
  void beginAnew(std::uint64_t now_ns, const std::vector<BackendShare>& backends);
  void remember(std::uint64_t now_ns, const std::vector<BackendShare>& backends);
  Plan makePlan(const std::vector<BackendShare>& backends) const;
  double mostOf(std::size_t index, double share, double recent) const;
  Plan planOfAvoided(const std::vector<BackendShare>& backends, double sessions) const;
  static void addUp(const std::vector<BackendShare>& backends, Plan& plan);
  std::vector<Order> order(std::uint64_t now_ns, const std::vector<BackendShare>& backends, Plan plan);
  void end() noexcept;

  State state_ = State::kEven;
  Progress progress_;
  bool fresh_ = true;  // what comes next begins its progress anew
  std::vector<Memory> memory_;
  std::uint64_t looked_ns_ = 0;
  std::uint64_t begin_ns_ = 0;        // nothing is closed before
  std::uint64_t stuck_since_ns_ = 0;  // it may close no more before others have come; 0: it may
  std::uint64_t rest_ns_ = 0;
  std::uint64_t closed_ = 0;  // at the last look
};

}  // namespace lemonade
