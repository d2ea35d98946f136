// SPDX-License-Identifier: MIT
//
// Backends that stand out from their pool: that fail a larger share of their clients than is usual there, or answer so
// many times more slowly. Two steps, since a client may be the cause of either, and a queue of the latter:
//
//   suspect  by what all clients saw in a window of some seconds, compared with what is usual: the median over the
//            pool. Where all fail or are slow together, nobody stands out
//   try      a coin gives it one client in four (balance/trial.h). Whatever clients do, one in four of those that fail,
//            or are answered slowly, fails there. Where it is most of them instead, the backend is to blame: one point
//            against it for each there, one for it for each elsewhere. With kEnough points it is convicted, with as
//            many for it, or after kMostAnswers, acquitted, and not suspected again for a while, longer each time
//
// With three as the base of the points that is a test of likelihood: 3^points does not grow on average while clients
// are to blame (1/4 * 3 + 3/4 * 1/3 = 1), so one trial in 6,561 at most convicts a backend for what clients do, and
// the sum grows where failures there are more than three times as frequent as elsewhere. While it is on trial it has a
// quarter of its load: one that was slow because too much was sent to it is as fast as the others then.
//
// What is slow is a matter of the tail: longer than all but one in twenty answers in the pool, or slow_factor times the
// usual answer if that is more.
#pragma once

#include "balance/histogram.h"
#include "balance/view.h"
#include "base/clock.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace lemonade::health {

struct OutlierSettings {
  double failing_share = 0;  ///< of its clients, from which a backend may stand out; 0: by failures none does
  double slow_factor = 0;    ///< of the usual answer time, from which it may; 0: by slowness none does
  Duration rest =
      std::chrono::seconds(10);  ///< after an acquittal nobody is suspected for so long; n-th in a row: n times

  bool on() const noexcept { return failing_share > 0 || slow_factor > 0; }
};

/// What stands out in one pool. Control thread.
class Outliers {
 public:
  static constexpr int kEnough = 8;
  static constexpr std::uint32_t kMostAnswers = 400;

  /// Holds from the next look on; where it switches a kind off, nobody is suspected of that any more.
  void configure(const OutlierSettings& settings);
  bool on() const noexcept { return settings_.on(); }

  /// Looks at all that are in service and fit; to be called some times a second. At most `places` more come under
  /// suspicion.
  void look(const View::Backends& backends, std::uint64_t now, std::size_t places);
  /// Whether it is to be on trial.
  bool suspects(const Backend& backend) const noexcept;
  /// What counts as slow in its trial, ns; 0: nothing does.
  std::uint64_t slowNs(const Backend& backend) const noexcept;
  /// Who waits in its trial since before that is slow; 0: nobody.
  std::uint64_t slowSinceNs(const Backend& backend, std::uint64_t now) const noexcept {
    const std::uint64_t slow_ns = slowNs(backend);
    return slow_ns != 0 ? now - slow_ns : 0;
  }
  /// Weighs what its trial has come to since the last time. Where that convicts it: why.
  std::optional<std::string> weigh(const Backend& backend, const Trial::Outcomes& outcomes, std::uint64_t now);
  /// It comes back after it was convicted: it is on trial from the start.
  void comesBack(const Backend& backend, std::uint64_t now);
  /// Nothing is held against it any more.
  void forget(const Backend& backend) noexcept;
  /// The same, and it has left.
  void remove(const Backend& backend) noexcept { cases_.erase(&backend); }

 private:
  enum class Kind : std::uint8_t { kNone, kFailing, kSlow };

  /// After acquittals nobody is suspected for a while.
  struct Rest {
    std::uint32_t acquittals = 0;  // in a row
    std::uint64_t until_ns = 0;
    void begin(std::uint64_t now, Duration each) noexcept;
  };
  /// What one backend did in a window.
  struct Window {
    std::uint32_t clients = 0;
    std::uint32_t failures = 0;
    Histogram::Sum answers;
    double answer_ns = 0;  // the usual one, or how long those wait who have none; 0: not known
  };
  struct Case {
    // Where its window began.
    std::uint64_t began_ns = 0;
    std::uint32_t clients = 0;
    std::uint32_t failures = 0;
    Histogram::Sum answers;
    bool slow_before = false;  // in the window before
    // Its trial.
    Kind suspected_of = Kind::kNone;
    Kind convicted_of = Kind::kNone;
    std::uint32_t seen = 0;  // clients that the coin sent there, and that were answered or failed
    std::uint32_t here = 0;  // that failed, or were answered slowly
    std::uint32_t elsewhere = 0;
    std::uint64_t slow_ns = 0;
    std::uint64_t counts_from_ns = 0;
    Rest rest;
  };
  struct Looked {
    const Backend* backend;
    Case* its;
    Window window;
  };
  /// What is usual in the pool: medians over the backends. 0: not known.
  struct Usual {
    double failing = 0;
    double answer_ns = 0;
    double long_answer_ns = 0;
  };

  std::optional<Window> windowOf(const Backend& backend, Case& its, std::uint64_t now) const;
  static void begin(const Backend& backend, Case& its, std::uint64_t now, bool with_answers);
  static Usual usualOf(std::vector<Looked>& looked);
  /// Whether its usual answer takes so many times as long as the pool's.
  bool standsOutBy(const Window& window, double factor) const noexcept;
  Kind standsOut(const Window& window, bool slow_before) const noexcept;
  void suspect(Case& its, Kind kind, std::uint64_t now) const noexcept;
  void acquit(Case& its, std::uint64_t now) noexcept;
  std::uint64_t slowNow() const noexcept;

  OutlierSettings settings_;
  std::unordered_map<const Backend*, Case> cases_;
  Usual usual_;
  std::uint64_t judged_ns_ = 0;
  Rest slow_rest_;  // of all: where trials acquit, differences in speed are those of queues
};

}  // namespace lemonade::health
