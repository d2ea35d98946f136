// SPDX-License-Identifier: MIT
//
// A strategy in C++, by the SDK of 1.1: what the one in C does, without the counting.
#include <lemonade/sdk/strategy.hpp>

#include <vector>

namespace sdk = lemonade::sdk;

class Frozen : public sdk::Strategy {
 public:
  static constexpr lemonade_option_t kBackendOptions[] = {
      sdk::option("cost", LEMONADE_OPTION_NUMBER, "1", "What a session costs there.", 0, 100),
      sdk::option("spare", LEMONADE_OPTION_BOOLEAN, "false", "Whether it is used only where no other is left."),
  };
  static constexpr std::uint32_t kNeeds = LEMONADE_NEED_LOCAL_ADDRESS;

  struct Choice {
    std::uint32_t index;
    bool near;
    double cost;
    std::string_view listener;  // borrowed of the view, which outlives this
  };
  using Prepared = std::vector<Choice>;

  explicit Frozen(sdk::Host host, const sdk::Options&)
      : picks_(host.metric(LEMONADE_METRIC_COUNTER, "frozen_1_1_picks_total", "Picks.")),
        local_(host.metric(LEMONADE_METRIC_COUNTER, "frozen_1_1_local_total", "Picks with an address.")),
        surprises_(host.metric(LEMONADE_METRIC_COUNTER, "frozen_1_1_surprises_total", "What must not be.")) {}

  std::unique_ptr<Prepared> prepare(sdk::View view) {
    auto prepared = std::make_unique<Prepared>();
    if (view.pool().empty() && view.raw().struct_size >= sizeof(lemonade_view_t)) lemonade_metric_add(surprises_, 1);
    for (const auto index : view.eligible()) {
      double cost = 1;
      if (const auto options = view.options<Frozen>(index))
        cost = options->number("cost") + (options->boolean("spare") ? 1000 : 0);
      for (const auto& label : view.labels(index))
        if (sdk::view(label.name).empty() || view.label(index, sdk::view(label.name)) != sdk::view(label.value))
          lemonade_metric_add(surprises_, 1);
      if (view.isNear(index) && view.zone(index) != view.zone()) lemonade_metric_add(surprises_, 1);
      prepared->push_back({index, view.isNear(index), cost, view.label(index, "listener")});
    }
    return prepared;
  }

  std::uint32_t pick(const sdk::Pick<Prepared>& pick) noexcept {
    if (pick.prepared == nullptr) return LEMONADE_PICK_NONE;
    const auto rank = [&](const Choice& choice) {
      const bool meant = !pick.listener().empty() && choice.listener == pick.listener();
      return (meant ? 0 : 10'000) + (choice.near ? 0 : 5'000) + choice.cost;
    };
    const Choice* best = nullptr;
    for (const auto& choice : *pick.prepared)
      if (pick.allowed(choice.index) && (best == nullptr || rank(choice) < rank(*best))) best = &choice;
    if (best == nullptr) return LEMONADE_PICK_NONE;
    lemonade_metric_add(picks_, 1);
    if (!pick.localAddress().empty()) lemonade_metric_add(local_, 1);
    return best->index;
  }

 private:
  lemonade_metric_cell_t* const picks_;
  lemonade_metric_cell_t* const local_;
  lemonade_metric_cell_t* const surprises_;
};

LEMONADE_STRATEGY(Frozen, .id = "com.example.frozen_1_1_cpp", .version = "1.1.0", .name = "Frozen 1.1",
                  .vendor = "Example", .doc = "Uses what the SDK of 1.1 added for strategies.")
