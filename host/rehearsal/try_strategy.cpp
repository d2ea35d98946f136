// SPDX-License-Identifier: MIT
//
// A strategy is put in a pool with the real backends: all up, every second one down, all down. It takes over the state
// of the one that runs, picks a thousand times and hears of every event.
#include "balance/pool.h"
#include "base/clock.h"
#include "base/hash.h"
#include "rehearsal/try_plugin.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

namespace lemonade {

namespace {

constexpr std::uint32_t kPicks = 1'000;

Address addressOf(const Rehearsal::Backend& backend) { return Address::parse(backend.address).value_or(Address()); }

View::Backends makeBackends(const Rehearsal& rehearsal) {
  View::Backends backends;
  for (const auto& backend : rehearsal.backends)
    backends.push_back(std::make_shared<Backend>(backend.configured, addressOf(backend), 1));
  return backends;
}

/// Every client of the rehearsal comes to an address that is nobody's.
class RehearsedAddress final : public LocalAddressSource {
 public:
  Address localAddress() const noexcept override { return address_; }

 private:
  const Address address_ = Address::parse("192.0.2.1:80").value_or(Address());
};

/// A strategy in a pool as the balancer has it.
class StrategyInPool {
 public:
  explicit StrategyInPool(const RehearsalContext& context)
      : context_(context),
        rehearsal_(context.rehearsal),
        loop_(context.loop),
        on_stage_(context.on_stage),
        quiescence_(std::max(1U, context.rehearsal.workers)),
        pool_(std::in_place, "default", quiescence_, std::max(1U, context.rehearsal.workers)) {}

  Status run(plugin::StrategyInstance instance) {
    auto status = onLoop(loop_, [&] { return begin(std::move(instance)); });
    if (status) status = pickFrom("as configured", [](std::size_t) { return true; });
    if (status) status = pickFrom("with every second one down", [](std::size_t i) { return i % 2 == 0; });
    if (status) status = pickFrom("with all of them down", [](std::size_t) { return false; });
    return status;
  }

  /// Control thread.
  void end() {
    (void)context_.is_unchanged(plugin::Moment::kCalled);
    on_stage_("being destroyed");
    strategy_.reset();
    pool_.reset();
    (void)context_.is_unchanged(plugin::Moment::kEnded);
  }

 private:
  Status begin(plugin::StrategyInstance instance) {
    on_stage_("making lanes");
    auto made = Strategy::make(std::move(instance), pool_->workers());
    if (!made) return std::move(made).error();
    strategy_ = std::move(made).value();
    pool_->setStrategy(strategy_);
    pool_->setRules({rehearsal_.panic_threshold, {}});
    if (!rehearsal_.state) return success();
    on_stage_("taking over the state of the one before");
    return strategy_->importState(*rehearsal_.state);
  }

  Status pickFrom(const char* which, const std::function<bool(std::size_t)>& up) {
    auto status = onLoop(loop_, [&] {
      on_stage_("preparing");
      auto backends = makeBackends(rehearsal_);
      for (std::size_t i = 0; i < backends.size(); ++i) (void)backends[i]->setHealth(up(i), "preflight");
      if (auto prepared = tryPrepare(backends, which); !prepared) return prepared;
      pool_->setBackends(std::move(backends));
      // So that it is asked why, too.
      pool_->setRecorder(std::make_shared<PickRecorder>(pool_->workers(), ~std::uint64_t{0}));
      pool_->publish();
      (void)quiescence_.reclaim();
      (void)pool_->reclaim();
      return success();
    });
    if (!status || pool_->eligibleCount() == 0) return status;
    on_stage_("picking");
    std::uint32_t invalid = 0;
    std::vector<Picked> picked;
    for (std::uint32_t i = 0; i < kPicks; ++i) invalid += pickOnce(i, picked);
    on_stage_("hearing of events");
    for (std::uint32_t i = 0; i < picked.size(); ++i) tell(picked[i], i % pool_->workers());
    // Before the other thread is needed again: who closes descriptors cuts off the way there.
    if (!context_.is_unchanged(plugin::Moment::kCalled) || invalid == 0) return success();
    return Error{"gave an answer that cannot be used in " + std::to_string(invalid) + " of " + std::to_string(kPicks) +
                 " picks from the backends " + which};
  }

  /// The balancer goes on without what could not be prepared; a new plugin had better be able to.
  Status tryPrepare(const View::Backends& backends, const char* which) const {
    const auto& table = strategy_->table();
    if (table.prepare == nullptr) return success();
    const View view(backends, chooseEligible(backends, rehearsal_.panic_threshold), strategy_, {}, nowNs(), 1);
    for (const auto& tier : view.tiers()) {
      auto error = plugin::emptyError();
      void* prepared = nullptr;
      if (table.prepare(strategy_->self(), &tier.get(), &prepared, &error) != LEMONADE_OK)
        return Error{"could not prepare for the backends " + std::string(which) + ": " + plugin::describe(error)};
      if (prepared != nullptr) table.release(strategy_->self(), prepared);
    }
    return success();
  }

  /// One connection: a pick, and where that gave a backend another one without it. Returns how many answers were bad.
  std::uint32_t pickOnce(std::uint32_t i, std::vector<Picked>& all) {
    lemonade_connection_t connection{};
    connection.struct_size = sizeof(connection);
    connection.now_ns = nowNs();
    connection.random = i * kSplitmix64Step;
    connection.worker = i % pool_->workers();
    connection.client_family = LEMONADE_FAMILY_IPV4;
    const std::uint8_t client[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, static_cast<std::uint8_t>(i)};
    std::copy(std::begin(client), std::end(client), connection.client_address);
    connection.client_port = static_cast<std::uint16_t>(1'024 + i);
    connection.local_port = 80;
    connection.listener = {"default", 7};
    Tried tried;
    const auto first = pool_->pick(connection, tried, &local_address_);
    if (first.what != Picked::What::kBackend) return first.invalid;
    tried.add(*first.backend);
    connection.attempt = 1;
    const auto second = pool_->pick(connection, tried, &local_address_);
    all.push_back(first);
    pool_->release(*first.backend);
    if (second.what == Picked::What::kBackend) pool_->release(*second.backend);
    return first.invalid || second.invalid;
  }

  void tell(const Picked& picked, std::uint32_t worker) {
    for (std::uint32_t type = LEMONADE_EVENT_CONNECTED; type <= LEMONADE_EVENT_ABANDONED; type <<= 1) {
      lemonade_strategy_event_t event{};
      event.struct_size = sizeof(event);
      event.type = type;
      event.backend_identity = picked.backend->identity();
      event.cookie = picked.cookie;
      event.now_ns = nowNs();
      event.value_ns = 1'000'000;
      const bool failure = type == LEMONADE_EVENT_CONNECT_FAILED || type == LEMONADE_EVENT_ERROR;
      event.error = failure ? ECONNREFUSED : 0;
      pool_->tell(worker, event, picked.generation);
    }
  }

  const RehearsalContext& context_;
  const Rehearsal& rehearsal_;
  ControlLoop& loop_;
  const OnStage& on_stage_;
  const RehearsedAddress local_address_;
  Quiescence quiescence_;
  std::optional<Pool> pool_;  // its view holds the strategy, too
  std::shared_ptr<Strategy> strategy_;
};

}  // namespace

Status tryPlugin(plugin::StrategyInstance& strategy, const RehearsalContext& context) {
  StrategyInPool pool(context);
  auto status = pool.run(std::move(strategy));
  (void)onLoop(context.loop, [&] {
    pool.end();
    return success();
  });
  return status;
}

}  // namespace lemonade
