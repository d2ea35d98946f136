// SPDX-License-Identifier: MIT
//
// A strategy in C++, by the SDK of 1.0, which takes over the state of the one in C and hands it back.
#include <lemonade/sdk/strategy.hpp>

#include <atomic>
#include <cstring>
#include <vector>

namespace sdk = lemonade::sdk;

class Frozen : public sdk::Strategy {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("step", LEMONADE_OPTION_INTEGER, "1", "Of a turn.", 1, 10),
      sdk::option("beat", LEMONADE_OPTION_DURATION, "20ms", "Not used.", 1, 60'000),
      sdk::option("way", LEMONADE_OPTION_CHOICE, "up", "Not used.", 0, 0, "up,down"),
  };
  static constexpr std::uint32_t kEvents = LEMONADE_EVENT_CONNECTED | LEMONADE_EVENT_CLOSED;
  static constexpr std::string_view kStateFormat = "com.example.frozen/1";

  struct Prepared {
    std::vector<std::uint32_t> eligible;
  };
  struct Lane {
    std::uint32_t worker;
  };

  Frozen(sdk::Host host, const sdk::Options& options)
      : step_(static_cast<std::uint64_t>(options.integer("step"))),
        picks_(host.metric(LEMONADE_METRIC_COUNTER, "frozen_picks_total", "Picks.")),
        closes_(host.metric(LEMONADE_METRIC_COUNTER, "frozen_closes_total", "Sessions that ended.")),
        surprises_(host.metric(LEMONADE_METRIC_COUNTER, "frozen_surprises_total", "What must not be.")) {
    if (options.text("way").empty() || options.duration("beat").count() == 0) throw sdk::OptionError("way", "is empty");
    host.log(LEMONADE_LOG_INFO, "a strategy of SDK 1.0 is here");
  }

  std::unique_ptr<Lane> makeLane(std::uint32_t worker) { return std::make_unique<Lane>(Lane{worker}); }

  std::unique_ptr<Prepared> prepare(sdk::View view) {
    return std::make_unique<Prepared>(Prepared{{view.eligible().begin(), view.eligible().end()}});
  }

  std::uint32_t pick(const sdk::Pick<Prepared, Lane>& pick) noexcept {
    if (pick.lane->worker != pick.connection.worker) lemonade_metric_add(surprises_, 1);
    const std::span<const std::uint32_t> eligible = pick.prepared ? pick.prepared->eligible : pick.view.eligible();
    const std::uint64_t turn = turn_.fetch_add(step_, std::memory_order_relaxed);
    for (std::size_t i = 0; i < eligible.size(); ++i) {
      const auto index = eligible[(turn + i) % eligible.size()];
      if (!pick.allowed(index)) continue;
      lemonade_metric_add(picks_, 1);
      pick.cookie = ~pick.view[index].identity;
      return index;
    }
    return LEMONADE_PICK_NONE;
  }

  void onEvent(const lemonade_strategy_event_t& event, Lane*) noexcept {
    if (event.foreign != 0) return;
    if (event.cookie != ~event.backend_identity) lemonade_metric_add(surprises_, 1);
    if (event.type == LEMONADE_EVENT_CLOSED) lemonade_metric_add(closes_, 1);
  }

  void exportState(sdk::Writer writer) {
    const std::uint64_t turn = turn_;
    writer.write({reinterpret_cast<const char*>(&turn), sizeof(turn)});
  }

  void importState(std::string_view format, std::string_view data) {
    if (format != kStateFormat) throw sdk::UnsupportedState("knows com.example.frozen/1 only");
    std::uint64_t turn = 0;
    if (data.size() != sizeof(turn)) throw std::runtime_error("the state has another size");
    std::memcpy(&turn, data.data(), sizeof(turn));
    turn_ = turn;
  }

 private:
  const std::uint64_t step_;
  std::atomic<std::uint64_t> turn_{0};
  lemonade_metric_cell_t* const picks_;
  lemonade_metric_cell_t* const closes_;
  lemonade_metric_cell_t* const surprises_;
};

LEMONADE_STRATEGY(Frozen, .id = "com.example.frozen_cpp", .version = "1.0.0", .name = "Frozen", .vendor = "Example",
                  .doc = "Uses all that the SDK of 1.0 has for strategies.")
