// SPDX-License-Identifier: MIT
//
// State handed from one generation of a strategy to the next, whole or not; and the swap itself, under picks.
#include "validate/sink_run.h"
#include "validate/strategy_run.h"

#include <atomic>
#include <cstring>
#include <optional>
#include <thread>

namespace lemonade::validate {

namespace {

struct State {
  std::string format;
  std::string bytes;
};

bool hasState(const lemonade_strategy_t& table) {
  return table.state_format != nullptr && table.export_state != nullptr && table.import_state != nullptr;
}

/// What an instance exports after some life.
State exported(const Code& code, StrategyRun& run) {
  Scene scene(equals(10));
  run.show(scene);
  for (std::uint32_t i = 0; i < 100; ++i)
    if (const auto index = run.usablePick(scrambled(1, i)); index < 10)
      run.tell(scene.identity(index), false, run.cookie());
  State state;
  state.format = std::string(view(run.table().state_format(run.self())));
  require(!state.format.empty(), "its state has no name");
  Reader reader;
  const auto writer = reader.writer();
  Guarded<lemonade_error_t> error(0);
  stage("exporting its state");
  const auto status = run.table().export_state(run.self(), &writer, error.get());
  run.showUnprepared(scene);
  if (status != LEMONADE_OK) {
    requireError(code.entry(), status, *error.get());
    throw Fault{"it does not export its state: " + describe(*error.get())};
  }
  require(reader.text().size() <= 16 << 20, "its state is larger than 16 MiB");
  state.bytes = reader.text();
  return state;
}

/// The status of importing this; where the instance is to be used afterwards, it has to work.
lemonade_status_t import(const Subject& subject, const Code& code, const State& state) {
  StrategyRun run(subject, code);
  GuardedBytes bytes(state.bytes.size(), true);
  std::memcpy(bytes.data(), state.bytes.data(), state.bytes.size());
  Guarded<lemonade_error_t> error(0);
  stage("importing a state");
  const auto status = run.table().import_state(
      run.self(), str(state.format), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, error.get());
  if (status != LEMONADE_OK) requireError(code.entry(), status, *error.get());
  if (status != LEMONADE_OK && status != LEMONADE_ERROR_UNSUPPORTED) return status;
  Scene scene(equals(12));
  run.show(scene);
  for (std::uint32_t i = 0; i < 50; ++i) (void)run.usablePick(scrambled(subject.seed, i));
  run.showUnprepared(scene);
  return status;
}

template <class With>
Outcome withState(const Subject& subject, With with) {
  const Code code(subject);
  StrategyRun run(subject, code);
  if (!hasState(run.table())) return skip("it has no state to hand over");
  with(code, exported(code, run));
  return pass();
}

Outcome roundTrip(const Subject& subject) {
  return withState(subject, [&](const Code&, const State& state) {
    const Code next(subject, 2);
    require(import(subject, next, state) == LEMONADE_OK, "the next generation does not take the state of this one");
  });
}

Outcome truncated(const Subject& subject) {
  return withState(subject, [&](const Code& code, State state) {
    const auto step = 1 + state.bytes.size() / subject.times(200);
    const std::string whole = state.bytes;
    for (std::size_t size = 0; size < whole.size(); size += step) {
      state.bytes = whole.substr(0, size);
      (void)import(subject, code, state);
    }
  });
}

Outcome flipped(const Subject& subject) {
  return withState(subject, [&](const Code& code, const State& state) {
    for (std::uint32_t i = 0; i < subject.times(300) && !state.bytes.empty(); ++i) {
      State other = state;
      const auto random = scrambled(subject.seed, i);
      other.bytes[random % other.bytes.size()] ^= static_cast<char>(1 + (random >> 32) % 255);
      (void)import(subject, code, other);
    }
  });
}

Outcome foreign(const Subject& subject) {
  return withState(subject, [&](const Code& code, const State& state) {
    for (const std::string format : {"com.example.nobody/1", "", "lemonade.backend-stats/99"})
      require(import(subject, code, {format, state.bytes}) != LEMONADE_OK,
              "it takes a state of the format \"" + format + "\", which is not its own");
  });
}

Outcome cutOff(const Subject& subject) {
  const Code code(subject);
  StrategyRun run(subject, code);
  if (!hasState(run.table())) return skip("it has no state to hand over");
  const auto state = exported(code, run);
  if (state.bytes.empty()) return skip("its state is empty");
  Reader reader(state.bytes.size() - 1);
  const auto writer = reader.writer();
  Guarded<lemonade_error_t> error(0);
  const auto status = run.table().export_state(run.self(), &writer, error.get());
  require(!reader.refused() || status != LEMONADE_OK, "it says that all went well when not all of its state was taken");
  return pass();
}

constexpr std::uint32_t kWorkers = 2;

/// A generation with what workers pick from.
struct Shown {
  Shown(const Subject& subject, std::uint64_t generation)
      : code(subject, generation), run(std::in_place, subject, code, kWorkers), scene(equals(8)) {
    run->show(scene);
  }
  ~Shown() { run->showUnprepared(scene); }
  Code code;
  std::optional<StrategyRun> run;
  Scene scene;
};

/// One generation after the other, while threads pick from whichever is shown.
Outcome swaps(const Subject& subject) {
  std::atomic<Shown*> shown{nullptr};
  std::atomic<std::uint64_t> seen[kWorkers] = {};
  std::atomic<std::uint64_t> turn{0};
  std::atomic<bool> wrong{false}, done{false};
  auto current = std::make_unique<Shown>(subject, 1);
  shown = current.get();
  std::vector<std::jthread> workers;
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker)
    workers.emplace_back([&, worker] {
      lemonade_connection_t connection{};
      connection.struct_size = sizeof(connection);
      connection.worker = worker;
      for (std::uint64_t i = 0; !done; ++i) {
        const auto now = turn.load();
        auto& from = *shown.load();
        for (int pick = 0; pick < 20; ++pick) {
          std::uint64_t cookie = 0;
          connection.random = scrambled(worker, i * 20 + static_cast<std::uint64_t>(pick));
          connection.now_ns = nowNs();
          const auto index = from.run->table().pick(from.run->self(), from.run->lane(worker), from.run->prepared(),
                                                    &connection, &from.scene.view(), &cookie);
          if (index < LEMONADE_PICK_REJECT && !from.scene.eligible(index)) wrong = true;
        }
        seen[worker] = now + 1;
        seen[worker].notify_one();
        std::this_thread::yield();  // on a busy machine the swaps are to get on
      }
    });
  const auto count = subject.times(100);
  for (std::uint64_t generation = 2; generation < 2 + count; ++generation) {
    auto next = std::make_unique<Shown>(subject, generation);
    shown = next.get();
    const auto reached = ++turn;
    for (auto& worker : seen)
      for (auto turns = worker.load(); turns < reached + 1; turns = worker.load()) worker.wait(turns);
    current = std::move(next);  // nobody reads the old one any more
  }
  done = true;
  workers.clear();
  stage("ending the last generation");
  current.reset();
  require(!wrong, "its answers are not usable while generations change");
  return pass();
}

constexpr std::uint32_t kOnly = LEMONADE_KIND_STRATEGY;
constexpr const char* kDistrust = "check every length and number of the state before you use it, and refuse the rest";

constexpr Check kChecks[] = {
    {"state.round_trip", "takes over what it exports", "import what export_state writes, under the same name",
     roundTrip, "strategy.events", kOnly},
    {"state.truncated", "bears a state that is cut short", kDistrust, truncated, "state.round_trip lifecycle.several",
     kOnly},
    {"state.flipped", "bears a state that is damaged", kDistrust, flipped, "state.round_trip lifecycle.several", kOnly},
    {"state.foreign", "refuses a state that is not its own",
     "compare format and return LEMONADE_ERROR_UNSUPPORTED (SDK: throw UnsupportedState)", foreign,
     "state.round_trip lifecycle.several", kOnly},
    {"state.cut_off", "says so where its state is not taken", "return what write returned, at once", cutOff,
     "state.round_trip", kOnly},
    {"swap.repeated", "is replaced a hundred times under picks", "keep all state in the instance, and release it",
     swaps, "strategy.valid strategy.threads process.threads load.generations", kOnly},
};

}  // namespace

std::span<const Check> stateChecks() { return kChecks; }

}  // namespace lemonade::validate
