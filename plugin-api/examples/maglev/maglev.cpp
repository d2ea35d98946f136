// SPDX-License-Identifier: MIT
//
// Consistent hashing with bounded load. A client comes to the same backend again, on every balancer, and hardly any
// client moves when a backend comes or goes: that is the table of Maglev (Eisenbud et al., NSDI 2016), which the SDK
// builds. No backend drowns for it: one that has `load_factor` times its share of the sessions passes the client on to
// the next place of the table (Mirrokni, Thorup, Zadimoghaddam, SODA 2018).
//
// The shipped consistent_hash is this with more care for large pools. Here to be read: work done once for each change
// of the backends (prepare), state of one worker without locks (Lane), options.
#include <lemonade/sdk/candidates.hpp>
#include <lemonade/sdk/maglev_table.hpp>

#include <cmath>

namespace {

namespace sdk = lemonade::sdk;

class Maglev : public sdk::Strategy {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("load_factor", LEMONADE_OPTION_NUMBER, "1.25",
                  "A backend takes at most this many times its share of the sessions.", 1.01, 100),
      sdk::option("by_port", LEMONADE_OPTION_BOOLEAN, "false", "Tells clients behind one address apart by their port."),
  };

  explicit Maglev(const sdk::Options& options)
      : load_factor_(options.number("load_factor")), by_port_(options.boolean("by_port")) {}

  /// What can be known from a view alone. Read by all workers, so constant after construction.
  struct Prepared {
    sdk::MaglevTable table;  // its places hold indices into the view
    double weights = 0;      // the sum of the eligible backends' weights
  };

  std::unique_ptr<Prepared> prepare(sdk::View view) {
    std::vector<sdk::MaglevTable::Member> members;
    auto prepared = std::make_unique<Prepared>();
    for (const auto index : view.eligible()) {
      const auto& backend = view[index];
      members.push_back({nameOf(backend), backend.effective_weight, index});
      prepared->weights += backend.effective_weight;
    }
    prepared->table = sdk::MaglevTable(std::move(members), view.size());
    return prepared;
  }

  /// How many sessions the pool has. Counting them takes a look at each backend, so a worker counts once a millisecond
  /// and adds its own picks in between.
  struct Lane {
    std::uint64_t counted_at_ns = 0;
    std::uint64_t view = 0;  // the serial of the view that was counted
    double sessions = 0;
  };

  std::unique_ptr<Lane> makeLane(std::uint32_t) { return std::make_unique<Lane>(); }

  std::uint32_t pick(const sdk::Pick<Prepared, Lane>& pick) noexcept {
    if (pick.prepared == nullptr || pick.prepared->table.size() == 0) return sdk::anyAllowed(pick);
    const auto& table = pick.prepared->table;
    const double share = (sessions(pick) + 1) / pick.prepared->weights * load_factor_;  // for each unit of weight
    std::uint32_t full = LEMONADE_PICK_NONE;  // the first that could take it above its bound
    std::uint32_t place = table.placeOf(hashOf(pick.connection));
    for (std::uint32_t step = 0; step < kMostSteps; ++step) {
      const auto index = table.at(place);
      if (pick.allowed(index)) {
        const auto& backend = pick.view[index];
        // Rounded up, so that the bounds together have room for all sessions.
        if (sdk::active(backend) + 1 <= std::ceil(share * backend.effective_weight)) return taken(pick, index);
        if (full == LEMONADE_PICK_NONE) full = index;
      }
      if (++place == table.size()) place = 0;
    }
    return taken(pick, full != LEMONADE_PICK_NONE ? full : sdk::anyAllowed(pick));
  }

 private:
  static constexpr std::uint32_t kMostSteps = 512;
  static constexpr std::uint64_t kFreshNs = 1'000'000;

  /// The same in every process and for good: clients stay where they are over a restart and on other balancers.
  static std::string nameOf(const lemonade_backend_t& backend) {
    return std::string(sdk::view(backend.id)) + ' ' + std::string(sdk::view(backend.address));
  }

  std::uint64_t hashOf(const lemonade_connection_t& connection) const noexcept {
    const std::string_view address(reinterpret_cast<const char*>(connection.client_address),
                                   sizeof(connection.client_address));
    return sdk::hashText(address, by_port_ ? connection.client_port + 1u : 0);
  }

  static double sessions(const sdk::Pick<Prepared, Lane>& pick) noexcept {
    auto& lane = *pick.lane;
    const auto serial = pick.view.raw().serial;
    if (lane.view == serial && pick.connection.now_ns - lane.counted_at_ns < kFreshNs) return lane.sessions;
    lane = {pick.connection.now_ns, serial, 0};
    for (const auto index : pick.view.eligible()) lane.sessions += sdk::active(pick.view[index]);
    return lane.sessions;
  }

  static std::uint32_t taken(const sdk::Pick<Prepared, Lane>& pick, std::uint32_t index) noexcept {
    if (index != LEMONADE_PICK_NONE) ++pick.lane->sessions;
    return index;
  }

  const double load_factor_;
  const bool by_port_;
};

}  // namespace

LEMONADE_STRATEGY(Maglev, .id = "com.example.maglev", .version = "1.0.0", .name = "Maglev", .vendor = "Example",
                  .doc = "Consistent hashing by client address, with bounded load.", .flags = LEMONADE_FLAG_UNLOAD_SAFE)
