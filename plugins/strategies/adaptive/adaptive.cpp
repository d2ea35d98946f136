// SPDX-License-Identifier: MIT
//
// Adaptive: latency decides among the backends that are not overloaded, load alone among those that are. After Prequal
// (Wydrowski et al., NSDI 2024), which showed that every linear mix of load and latency loses to this lexicographic
// rule.
//
//   n    = (active + 1) / weight, slow start included
//   hot  = n > q84(n) and n > 1.25 * mean(n)
//   cold -> least latency, near-equals take turns by weight;  all hot -> least n
//
// What is believed of latency, and the handicap on n of a backend that fails, is sdk/latency_book.hpp.
#include <lemonade/sdk/latency_strategy.hpp>

namespace {

namespace sdk = lemonade::sdk;

/// Above both a backend is hot.
struct HotLine {
  double high;  // q84(n)
  double mean;

  bool exceededBy(double n) const noexcept { return n > high && n > 1.25 * mean; }
};

/// Leaves the greater value in place and hands the smaller on.
void sink(double& place, double& value) noexcept {
  const double lesser = std::min(place, value);
  place = std::max(place, value);
  value = lesser;
}

/// Of the listed backends (at least one), whose scores are n, at this moment: in a small pool a millisecond old line
/// would let a burst pass.
HotLine hotLine(const sdk::Shortlist& list) noexcept {
  double sum = 0;
  double most = 0;
  for (std::uint32_t slot = 0; slot < list.size(); ++slot) {
    const double n = list[slot].score;
    sum += n;
    most = std::max(most, n);
  }
  const double mean = sum / list.size();
  // q84 is at most `most`: where that is below the mean's line, the mean alone decides.
  if (most <= 1.25 * mean) return {0, mean};

  // q84 of at most 16 values lies between two of the largest four.
  double first = 0, second = 0, third = 0, fourth = 0;
  for (std::uint32_t slot = 0; slot < list.size(); ++slot) {
    double n = list[slot].score;
    sink(first, n);
    sink(second, n);
    sink(third, n);
    fourth = std::max(fourth, n);
  }
  const double top[] = {first, second, third, fourth};
  const double from_top = 0.16 * (list.size() - 1);
  const auto above = static_cast<std::uint32_t>(from_top);
  return {top[above] + (from_top - above) * (top[above + 1] - top[above]), mean};
}

class Adaptive : public sdk::LatencyStrategy {
 public:
  using LatencyStrategy::LatencyStrategy;

  std::uint32_t pick(const sdk::Pick<sdk::LatencyBook>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& book = *pick.prepared;
    book.renew(pick.connection);
    const auto& candidates = book.candidates();
    sdk::Shortlist list;
    candidates.shortlist(pick.connection, list, [&](std::uint32_t position, std::uint32_t active) {
      return candidates[position].load(active);
    });
    if (list.size() == 0) return LEMONADE_PICK_NONE;
    const bool any_cold = scoreByRule(list, book, pick.connection);
    return any_cold ? leastOf(candidates, list) : strictlyLeastOf(candidates, list);
  }

 private:
  /// Takes a list whose scores are n and gives the cold their latency, the hot infinity; all their n, handicaps
  /// included, where none is cold. Returns whether any is.
  static bool scoreByRule(sdk::Shortlist& list, const sdk::LatencyBook& book,
                          const lemonade_connection_t& connection) noexcept {
    const HotLine line = book.candidates().small() ? hotLine(list) : HotLine{book.highLoad(), book.meanLoad()};
    std::array<double, sdk::Shortlist::kCapacity> loads;
    bool any_cold = false;
    for (std::uint32_t slot = 0; slot < list.size(); ++slot) {
      auto& entry = list[slot];
      const auto estimate = book.estimate(entry.position, connection);
      loads[slot] = book.handicappedLoad(entry.position, entry.active, estimate);
      const bool hot = line.exceededBy(loads[slot]);
      entry.score = hot ? std::numeric_limits<double>::infinity() : estimate.latency_ns;
      any_cold |= !hot;
    }
    for (std::uint32_t slot = 0; !any_cold && slot < list.size(); ++slot) list[slot].score = loads[slot];
    return any_cold;
  }
};

}  // namespace

LEMONADE_STRATEGY(Adaptive, .id = "adaptive", .version = "1.0.0", .name = "Adaptive", .vendor = "Lemonade",
                  .doc = "Leaves out what is overloaded and picks the fastest of the rest. The one to leave on.")
