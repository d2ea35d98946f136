// SPDX-License-Identifier: MIT
//
// What has happened of late, for a timeline: the facts that an operator asks about at three in the morning, newest
// last. A ring of bounded size: what does not fit any more is gone, and who reads too slowly is told how much that was.
//
// The facts come from the control thread, where the log lines of them are written. Nothing of the data path comes here.
// Any thread; adding waits for nobody but another who adds or reads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lemonade {

enum class EventKind {
  kStarted,
  kReady,
  kStopping,
  kDraining,
  kUpgraded,
  kHandedOver,
  kUpgradeFailed,
  kDied,
  kBackendUp,
  kBackendDown,
  kBackendEjected,
  kBackendReturned,
  kPoolDown,
  kPoolUp,
  kReloadApplied,
  kReloadRefused,
  kPluginSwapped,
  kPluginRefused,
  kPluginQuarantined,
  kPluginReleased,
  kOverrideSet,
  kOverrideEnded,
  kLimitReached,
  kLimitOver,
  kDescriptorsShort,
  kDescriptorsBack,
  kRebalanceBegan,
  kRebalanceEnded,
};

/// How answers call them, in the same order; docs/admin-api.md says what each means.
inline constexpr std::array kEventKinds = {
    "started",
    "ready",
    "stopping",
    "draining",
    "upgraded",
    "handed_over",
    "upgrade_failed",
    "died",
    "backend_up",
    "backend_down",
    "backend_ejected",
    "backend_returned",
    "pool_down",
    "pool_up",
    "reload_applied",
    "reload_refused",
    "plugin_swapped",
    "plugin_refused",
    "plugin_quarantined",
    "plugin_released",
    "override_set",
    "override_ended",
    "limit_reached",
    "limit_over",
    "descriptors_short",
    "descriptors_back",
    "rebalance_began",
    "rebalance_ended",
};
static_assert(kEventKinds.size() == static_cast<std::size_t>(EventKind::kRebalanceEnded) + 1);

struct Event {
  EventKind kind = EventKind::kStarted;
  std::string text;  ///< a sentence for people
  std::string pool{};
  std::string backend{};  ///< its id
  std::vector<std::pair<std::string, std::string>> fields{};
  std::uint64_t sequence = 0;  ///< given by add(), as the next
  std::uint64_t unix_ns = 0;
};

class Events {
 public:
  using Heard = std::function<void()>;
  static constexpr std::size_t kMost = 1'000;
  static constexpr std::size_t kMostWaiters = 256;

  /// Sequence numbers begin behind `before`, which grows from process to process so that nobody mistakes an event of
  /// this one for one of another.
  explicit Events(std::uint64_t before, std::size_t most = kMost) : before_(before), most_(most), newest_(before) {}
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  /// The numbers that one process has given: those behind `before`, up to `newest`.
  struct Span {
    std::uint64_t before = 0;
    std::uint64_t newest = 0;
  };
  static constexpr std::size_t kMostSpans = 16;
  /// All that is there, for a process that follows: events, and the spans of all processes that they are of, oldest
  /// first.
  struct Told {
    std::vector<Event> events;
    std::vector<Span> spans;
  };
  Told told() const;
  /// Takes over what the process before has told, once. What is not before the events of this process, or is in no
  /// order, is left out.
  void inherit(Told told);

  /// Gives the event its number and its time. Texts are cut after a few kilobytes. One that there is no memory for is
  /// lost, and counted as such.
  void add(Event event) noexcept;

  struct Page {
    std::vector<Event> events;  ///< in the order in which they happened
    std::uint64_t next = 0;     ///< to ask behind next time
    std::uint64_t lost = 0;     ///< events in between that are gone
  };
  /// The first `limit` events behind that number. A number that is still to come stands for the newest.
  Page after(std::uint64_t sequence, std::size_t limit) const;
  /// The newest `limit` events.
  Page latest(std::size_t limit) const;

  /// Calls heard once: as soon as there is something behind that number, or after expire() has been told of a time
  /// behind deadline_ns. From the thread that finds this out, which may be this one. False, and nothing is called,
  /// where too many wait.
  bool await(std::uint64_t sequence, std::uint64_t deadline_ns, Heard heard);
  /// Lets those go whose time is over, in monotonic nanoseconds. To be called a few times a second.
  void expire(std::uint64_t now_ns);
  /// Lets everybody go, now and from now on.
  void close();

 private:
  struct Waiter {
    std::uint64_t sequence;
    std::uint64_t deadline_ns;
    Heard heard;
  };

  std::uint64_t clamped(std::uint64_t sequence) const;
  Page pageAfter(std::uint64_t sequence, std::size_t limit) const;
  std::uint64_t between(std::uint64_t from, std::uint64_t to) const;
  template <class Which>
  void release(Which which);

  const std::uint64_t before_;
  const std::size_t most_;
  mutable std::mutex mutex_;  // guards what follows
  std::uint64_t newest_;
  std::deque<Event> events_;
  std::vector<Span> spans_;  // of processes before this one, the oldest first
  std::vector<Waiter> waiters_;
  bool closed_ = false;
};

/// The kind that answers call so; nothing where this version knows none.
std::optional<EventKind> eventKindOf(std::string_view name);

/// One event alone.
std::string eventJson(const Event& event);

/// The body of /api/v1/events, ending in a newline.
std::string eventsJson(const Events::Page& page);

}  // namespace lemonade
