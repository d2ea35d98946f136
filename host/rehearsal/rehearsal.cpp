// SPDX-License-Identifier: MIT
//
// The rehearsal itself. Calls go to the plugin on the threads that the ABI promises: control, and this one as a worker,
// as the prober and as the thread of a sink.
#include "rehearsal/rehearsal.h"

#include "balance/pool.h"
#include "base/clock.h"
#include "metrics/snapshot.h"
#include "observe/metrics_sources.h"
#include "plugin/loader.h"
#include "rehearsal/configured_backend.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <string_view>
#include <vector>

namespace lemonade {

namespace {

constexpr std::uint32_t kPicks = 1'000;
constexpr std::uint64_t kSinkTime = 1'000'000'000;
constexpr std::uint64_t kLargestSend = 64 << 10;
constexpr std::size_t kMostProbed = 3;

lemonade_str_t str(std::string_view text) { return {text.data(), text.size()}; }

Address addressOf(const Rehearsal::Backend& backend) { return Address::parse(backend.address).value_or(Address()); }

View::Backends makeBackends(const Rehearsal& rehearsal) {
  View::Backends backends;
  for (const auto& backend : rehearsal.backends)
    backends.push_back(
        std::make_shared<Backend>(settingsOf(backend.configured), addressOf(backend), backend.configured.port, 1));
  return backends;
}

/// Runs a step on the control thread and passes on what it returns or throws.
Status onControl(ControlLoop& loop, const std::function<Status()>& step) {
  Status status = success();
  std::exception_ptr thrown;
  loop.run([&] {
    try {
      status = step();
    } catch (...) {
      thrown = std::current_exception();
    }
  });
  if (thrown) std::rethrow_exception(thrown);
  return status;
}

// ---- strategies ----------------------------------------------------------------------------------------------------

/// A strategy in a pool as the balancer has it.
class StrategyTrial {
 public:
  StrategyTrial(const Rehearsal& rehearsal, ControlLoop& loop, const OnStage& on_stage)
      : rehearsal_(rehearsal),
        loop_(loop),
        on_stage_(on_stage),
        quiescence_(std::max(1U, rehearsal.workers)),
        pool_(std::in_place, "default", quiescence_, std::max(1U, rehearsal.workers)) {}

  Status run(plugin::StrategyInstance instance) {
    auto status = onControl(loop_, [&] { return begin(std::move(instance)); });
    if (status) status = pickFrom("as configured", [](std::size_t) { return true; });
    if (status) status = pickFrom("with every second one down", [](std::size_t i) { return i % 2 == 0; });
    if (status) status = pickFrom("with all of them down", [](std::size_t) { return false; });
    return status;
  }

  /// Control thread.
  void end() {
    on_stage_("being destroyed");
    strategy_.reset();
    pool_.reset();
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
    auto status = onControl(loop_, [&] {
      on_stage_("preparing");
      auto backends = makeBackends(rehearsal_);
      for (std::size_t i = 0; i < backends.size(); ++i) (void)backends[i]->setHealth(up(i), "preflight");
      if (auto prepared = tryPrepare(backends, which); !prepared) return prepared;
      pool_->setBackends(std::move(backends));
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
    if (invalid == 0) return success();
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
    connection.random = i * 0x9e3779b97f4a7c15;
    connection.worker = i % pool_->workers();
    connection.client_family = LEMONADE_FAMILY_IPV4;
    const std::uint8_t client[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, static_cast<std::uint8_t>(i)};
    std::copy(std::begin(client), std::end(client), connection.client_address);
    connection.client_port = static_cast<std::uint16_t>(1'024 + i);
    Tried tried;
    const auto first = pool_->pick(connection, tried);
    if (first.what != Picked::What::kBackend) return first.invalid;
    tried.add(*first.backend);
    connection.attempt = 1;
    const auto second = pool_->pick(connection, tried);
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

  const Rehearsal& rehearsal_;
  ControlLoop& loop_;
  const OnStage& on_stage_;
  Quiescence quiescence_;
  std::optional<Pool> pool_;  // its view holds the strategy, too
  std::shared_ptr<Strategy> strategy_;
};

// ---- health checkers -----------------------------------------------------------------------------------------------

/// Feeds one probe until it ends or the script does. Error: the checker's answer makes no sense.
Status probeOnce(const plugin::CheckerInstance& checker, const Rehearsal::Backend& backend,
                 std::initializer_list<lemonade_probe_event_t> script) {
  lemonade_probe_target_t target{};
  target.struct_size = sizeof(target);
  target.id = str(backend.configured.id);
  target.name = str(backend.configured.name);
  target.address = str(backend.address);
  target.hostname = str(backend.configured.host);
  target.timeout_ns = 1'000'000'000;
  target.now_ns = nowNs();
  void* probe = nullptr;
  const auto fresh = [] {
    lemonade_probe_verdict_t verdict{};
    verdict.struct_size = sizeof(verdict);
    return verdict;
  };
  const auto sane = [](const lemonade_probe_verdict_t& verdict) {
    return verdict.what <= LEMONADE_VERDICT_DEGRADED &&
           (verdict.what != LEMONADE_VERDICT_SEND ||
            (verdict.send.size <= kLargestSend && (verdict.send.data != nullptr || verdict.send.size == 0)));
  };
  auto verdict = fresh();
  if (checker.table().probe_begin(checker.self(), &target, &probe, &verdict) != LEMONADE_OK) return success();
  bool good = sane(verdict);
  for (auto event : script) {
    if (!good || verdict.what > LEMONADE_VERDICT_SEND) break;
    event.struct_size = sizeof(event);
    verdict = fresh();
    checker.table().probe_event(checker.self(), probe, &event, &verdict);
    good = sane(verdict);
  }
  const std::string what = std::to_string(verdict.what);
  checker.table().probe_end(checker.self(), probe);
  return good ? success() : Error{"gave a verdict that cannot be used (what " + what + ")"};
}

Status tryChecker(const plugin::CheckerInstance& checker, const Rehearsal& rehearsal, const OnStage& on_stage) {
  const auto event = [](std::uint32_t type, std::string_view data = {}, int error = 0) {
    return lemonade_probe_event_t{0, type, 1'000, str(data), error, 0};
  };
  const auto connected = event(LEMONADE_PROBE_CONNECTED);
  const auto answer = event(LEMONADE_PROBE_DATA, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const auto garbage = event(LEMONADE_PROBE_DATA, std::string_view("\0\xff\r\n\n garbage", 13));
  const auto end = event(LEMONADE_PROBE_EOF);
  const auto timeout = event(LEMONADE_PROBE_TIMEOUT);
  on_stage("probing");
  for (std::size_t i = 0; i < std::min(rehearsal.backends.size(), kMostProbed); ++i) {
    const auto& backend = rehearsal.backends[i];
    const Status outcomes[] = {
        probeOnce(checker, backend, {connected, answer, end}),
        probeOnce(checker, backend, {connected, garbage, garbage, end}),
        probeOnce(checker, backend, {connected, end}),
        probeOnce(checker, backend, {connected, timeout}),
        probeOnce(checker, backend, {timeout}),
        probeOnce(checker, backend, {event(LEMONADE_PROBE_ERROR, {}, ECONNREFUSED)}),
        probeOnce(checker, backend, {connected}),
        probeOnce(checker, backend, {}),
    };
    for (const auto& outcome : outcomes)
      if (!outcome) return outcome;
  }
  return success();
}

// ---- metrics sinks -------------------------------------------------------------------------------------------------

lemonade_status_t countBytes(void* context, const void*, std::uint64_t size) noexcept {
  *static_cast<std::uint64_t*>(context) += size;
  return LEMONADE_OK;
}

Status render(const plugin::SinkInstance& sink, const metrics::Snapshot& snapshot) {
  const auto& table = sink.table();
  for (const char* accept : {"", "text/plain", "application/openmetrics-text; version=1.0.0"}) {
    (void)table.content_type(sink.self(), str(accept));
    std::uint64_t written = 0;
    const lemonade_writer_t writer{sizeof(lemonade_writer_t), 0, &written, countBytes};
    auto error = plugin::emptyError();
    if (table.render(sink.self(), &snapshot.raw(), str(accept), &writer, &error) != LEMONADE_OK)
      return Error{"could not render a snapshot: " + plugin::describe(error)};
  }
  return success();
}

/// Only an empty snapshot is pushed, and no health event: what a push sink feeds must not hear of a rehearsal.
Status trySink(const plugin::SinkInstance& sink, const OnStage& on_stage) {
  const auto empty = metrics::SnapshotBuilder().build(unixNs(), 0);
  metrics::SnapshotBuilder builder;
  addProcess(builder, ProcessFacts{});
  const auto small = builder.build(unixNs(), 0);
  if (sink.table().flush != nullptr) {
    on_stage("flushing");
    // Its outcome depends on who listens, so it counts for nothing.
    auto error = plugin::emptyError();
    (void)sink.table().flush(sink.self(), &empty->raw(), nowNs() + kSinkTime, &error);
  }
  if (sink.table().render == nullptr) return success();
  on_stage("rendering");
  if (auto rendered = render(sink, *empty); !rendered) return rendered;
  return render(sink, *small);
}

/// Creates an instance, tries it on this thread and destroys it.
template <class Instance, class Create, class Try>
Status tryInstance(ControlLoop& loop, const OnStage& on_stage, Create create, Try try_it) {
  std::optional<Instance> instance;
  (void)onControl(loop, [&] {
    if (auto made = create()) instance.emplace(std::move(*made));
    return success();
  });
  if (!instance) return success();
  auto status = try_it(*instance);
  (void)onControl(loop, [&] {
    on_stage("being destroyed");
    instance.reset();
    return success();
  });
  return status;
}

}  // namespace

Status rehearse(const Rehearsal& rehearsal, const plugin::PluginFile& file, const OnStage& on_stage) try {
  // Kept until the process ends, as host handles demand.
  auto& loop = *new ControlLoop;
  auto& loader = *new plugin::Loader(loop, *new plugin::MetricCells);
  loop.start();
  std::vector<plugin::OptionProblem> problems;
  const auto& choice = rehearsal.choice;
  on_stage("being loaded and created");
  switch (rehearsal.kind) {
    case LEMONADE_KIND_HEALTH_CHECKER:
      return tryInstance<plugin::CheckerInstance>(
          loop, on_stage, [&] { return loader.create<lemonade_health_checker_t>(file, choice, problems); },
          [&](auto& checker) { return tryChecker(checker, rehearsal, on_stage); });
    case LEMONADE_KIND_METRICS_SINK:
      return tryInstance<plugin::SinkInstance>(
          loop, on_stage, [&] { return loader.create<lemonade_metrics_sink_t>(file, choice, problems); },
          [&](auto& sink) { return trySink(sink, on_stage); });
    default:
      break;
  }
  StrategyTrial trial(rehearsal, loop, on_stage);
  std::optional<plugin::StrategyInstance> instance;
  (void)onControl(loop, [&] {
    if (auto made = loader.create<lemonade_strategy_t>(file, choice, problems)) instance.emplace(std::move(*made));
    return success();
  });
  if (!instance) return success();
  auto status = trial.run(std::move(*instance));
  (void)onControl(loop, [&] {
    trial.end();
    return success();
  });
  return status;
} catch (const std::exception& e) {
  return Error{std::string("threw an exception through the ABI: ") + e.what()};
} catch (...) {
  return Error{"threw an exception through the ABI"};
}

}  // namespace lemonade
