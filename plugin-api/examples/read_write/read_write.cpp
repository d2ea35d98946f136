// SPDX-License-Identifier: MIT
//
// One pool of database servers behind two listeners: connections that came to the listener for writes go to the
// primary, all others are shared out among the servers that take reads. A server is the primary by its label
// role = "primary", and takes so many of the reads as its option read_share says.
//
// A host of ABI 1.0 tells neither listeners nor labels: every connection is a read there, and each server has a share
// of 1. Where that will not do, set need_minor.
#include <lemonade/sdk/sampling.hpp>
#include <lemonade/sdk/strategy.hpp>

#include <string>
#include <vector>

namespace {

namespace sdk = lemonade::sdk;

/// What is worked out of a view, once for all picks.
struct Roles {
  std::vector<std::uint32_t> primaries;  // indices in the view
  std::vector<std::uint32_t> readers;
  sdk::WeightedSampler by_share;  // of the readers, where there are some
};

class ReadWrite : public sdk::Strategy {
 public:
  using Prepared = Roles;

  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("write_listener", LEMONADE_OPTION_STRING, "write",
                  "The name of the listener whose connections go to the primary."),
  };
  static constexpr lemonade_option_t kBackendOptions[] = {
      sdk::option("read_share", LEMONADE_OPTION_INTEGER, "1",
                  "How many of the reads it takes, compared with the others.", 0, 1'000),
  };

  static constexpr std::uint32_t kNeeds = LEMONADE_NEED_REFUSALS;  // no reader stands in for a primary

  explicit ReadWrite(const sdk::Options& options) : write_listener_(options.text("write_listener")) {}

  std::unique_ptr<Roles> prepare(sdk::View view) {
    auto roles = std::make_unique<Roles>();
    std::vector<std::uint32_t> shares;
    for (const auto index : view.eligible()) {
      if (view.label(index, "role") == "primary") roles->primaries.push_back(index);
      const auto options = view.options<ReadWrite>(index);
      const auto share = options ? static_cast<std::uint32_t>(options->integer("read_share")) : 1;
      if (share == 0) continue;
      roles->readers.push_back(index);
      shares.push_back(share);
    }
    if (!shares.empty()) roles->by_share = sdk::WeightedSampler(shares);
    return roles;
  }

  std::uint32_t pick(const sdk::Pick<Roles>& pick) noexcept {
    if (pick.prepared == nullptr) return LEMONADE_PICK_NONE;
    const bool writes = !pick.listener().empty() && pick.listener() == write_listener_;
    return writes ? emptiest(pick) : reader(pick);
  }

 private:
  /// Of the primaries, which are more than one only for a moment, the one with the fewest sessions.
  static std::uint32_t emptiest(const sdk::Pick<Roles>& pick) noexcept {
    std::uint32_t best = LEMONADE_PICK_NONE;
    for (const auto index : pick.prepared->primaries)
      if (pick.allowed(index) &&
          (best == LEMONADE_PICK_NONE || sdk::active(pick.view[index]) < sdk::active(pick.view[best])))
        best = index;
    return best;
  }

  /// One that is drawn by its share; where the connection may not be given that one, the next that it may.
  static std::uint32_t reader(const sdk::Pick<Roles>& pick) noexcept {
    const auto& readers = pick.prepared->readers;
    if (readers.empty()) return LEMONADE_PICK_NONE;
    const std::uint32_t drawn = pick.prepared->by_share.draw(pick.connection.random);
    for (std::size_t i = 0; i < readers.size(); ++i) {
      const auto index = readers[(drawn + i) % readers.size()];
      if (pick.allowed(index)) return index;
    }
    return LEMONADE_PICK_NONE;
  }

  const std::string write_listener_;
};

}  // namespace

LEMONADE_STRATEGY(ReadWrite, .id = "com.example.read_write", .version = "1.0.0", .name = "Read and write",
                  .vendor = "Example",
                  .doc = "Sends writes to the primary and shares out reads, by listener and label.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
