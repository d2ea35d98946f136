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
#include <lemonade/sdk/latency_book.hpp>

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

/// Of the listed backends, at this moment: in a small pool a millisecond old line would let a burst pass.
HotLine hotLine(const sdk::Shortlist& list) noexcept {
  double sum = 0;
  double most = 0;
  for (std::uint32_t slot = 0; slot < list.size(); ++slot) {
    const double n = list[slot].load;
    sum += n;
    most = std::max(most, n);
  }
  const double mean = sum / list.size();
  // q84 is at most `most`: where that is below the mean's line, the mean alone decides.
  if (most <= 1.25 * mean) return {0, mean};

  // q84 of at most 16 values lies between two of the largest four.
  double first = 0, second = 0, third = 0, fourth = 0;
  for (std::uint32_t slot = 0; slot < list.size(); ++slot) {
    double n = list[slot].load;
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

class Adaptive : public sdk::Strategy {
 public:
  using Prepared = sdk::LatencyBook;

  static constexpr lemonade_option_t kOptions[] = {
      sdk::option(
          "half_life", LEMONADE_OPTION_DURATION, "10s",
          "After this long without a sample, what is known of a backend counts half, and the pool's median half.", 100,
          3'600'000),
      sdk::option("tolerance", LEMONADE_OPTION_NUMBER, "1.25",
                  "Backends whose latency is within this factor of the least are equals and take turns.", 1, 10),
  };

  explicit Adaptive(const sdk::Options& options)
      : half_life_(options.duration("half_life")), tolerance_(options.number("tolerance")) {}

  std::unique_ptr<sdk::LatencyBook> prepare(sdk::View view) {
    return std::make_unique<sdk::LatencyBook>(view, half_life_);
  }

  std::uint32_t pick(const sdk::Pick<sdk::LatencyBook>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& book = *pick.prepared;
    book.renew(pick.connection);
    sdk::Shortlist list;
    book.candidates().shortlist(pick.connection, list);
    if (list.size() == 0) return LEMONADE_PICK_NONE;
    return book.candidates().settle(list, choose(list, book, pick.connection), turn_);
  }

 private:
  /// The slots that the rule finds equally good, as bits.
  std::uint32_t choose(const sdk::Shortlist& list, const sdk::LatencyBook& book,
                       const lemonade_connection_t& connection) const noexcept {
    const HotLine line = book.candidates().small() ? hotLine(list) : HotLine{book.highLoad(), book.meanLoad()};
    constexpr double kNever = std::numeric_limits<double>::infinity();
    std::array<double, sdk::Shortlist::kCapacity> latency;  // of the hot: kNever
    double least_latency = kNever;
    double least_load = kNever;
    std::uint32_t least_loaded = 0;
    for (std::uint32_t slot = 0; slot < list.size(); ++slot) {
      const auto estimate = book.estimate(*list[slot].candidate, connection);
      const double load = book.handicappedLoad(list[slot], estimate);
      latency[slot] = line.exceededBy(load) ? kNever : estimate.latency_ns;
      least_latency = std::min(least_latency, latency[slot]);
      const std::uint32_t bit = 1u << slot;
      if (load < least_load) least_loaded = 0;
      if (load <= least_load) least_loaded |= bit;
      least_load = std::min(least_load, load);
    }
    if (least_latency == kNever) return least_loaded;
    std::uint32_t equals = 0;
    for (std::uint32_t slot = 0; slot < list.size(); ++slot)
      equals |= static_cast<std::uint32_t>(latency[slot] <= least_latency * tolerance_) << slot;
    return equals;
  }

  const std::chrono::nanoseconds half_life_;
  const double tolerance_;
  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace

LEMONADE_STRATEGY(Adaptive, .id = "adaptive", .version = "1.0.0", .name = "Adaptive", .vendor = "Lemonade",
                  .doc = "Leaves out what is overloaded and picks the fastest of the rest. The one to leave on.")
