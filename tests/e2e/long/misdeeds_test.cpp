// SPDX-License-Identifier: MIT
//
// Every way in which a plugin turns, in every function that it may turn in, while 200 clients are at work: the balancer
// lives, no request fails, the log names the plugin, and what ran before is back within a second. The short run tries
// some of them; LEMONADE_TEST_MISDEEDS=all tries each, and whether a hundred more leave anything behind.
#include "e2e/late_plugin.h"
#include "e2e/restless.h"
#include "support/crowd.h"
#include "support/facts.h"
#include "support/holdings.h"
#include "support/skip.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::test {
namespace {

constexpr const char* kTrap = "127.0.0.99:0";
constexpr Millis kHangLimit = 400ms;
const std::string kStrategy = "com.example.turncoat";

/// What a plugin does in one of its functions, and how the log calls that.
struct Row {
  std::string function, deed, words;

  bool isOfStrategy() const { return function != "probe_event" && function != "flush" && function != "render"; }
};

/// What a sanitizer lets nobody do something about, see docs/containment.md.
bool isBeyondSanitizer([[maybe_unused]] const Row& row) {
#ifdef __SANITIZE_THREAD__
  return row.words.starts_with("hang") || row.deed == "abort" || row.deed == "recurse";
#else
  return LEMONADE_SANITIZED != 0 && row.deed == "recurse";
#endif
}

/// Each misdeed in each function.
std::vector<Row> allRows() {
  const std::pair<const char*, const char*> deeds[] = {
      {"segv", "SIGSEGV at 0x8"},
      {"bus", "SIGBUS at 0x"},
      {"ill", "SIGILL"},
      {"fpe", "SIGFPE"},
      {"abort", "SIGABRT"},
      {"terminate", "exception std::terminate"},
      {"exit", "exit()"},
      {"_exit", "_exit()"},
      {"quick_exit", "quick_exit()"},
      {"recurse", "SIGSEGV at 0x"},
      {"spin", "hang, after 0."},
      {"lock", "hang, after 0."},
      {"block", "hang, after 0."},
  };
  std::vector<Row> rows;
  for (const char* function : {"pick", "event", "prepare", "probe_event", "flush", "render"})
    for (const auto& [deed, words] : deeds) rows.push_back({function, deed, words});
  for (const char* function : {"pick", "event"}) rows.push_back({function, "throw", "exception std::runtime_error"});
  return rows;
}

/// Of the short run, for the balancer that is the nth of four: another function for each, and one hang.
std::vector<Row> someRows(int nth) {
  const std::vector<std::vector<Row>> some = {
      {{"pick", "segv", "SIGSEGV at 0x8"}, {"flush", "exit", "exit()"}},
      {{"prepare", "spin", "hang, after 0."}, {"probe_event", "abort", "SIGABRT"}},
      {{"event", "fpe", "SIGFPE"}, {"render", "terminate", "exception std::terminate"}},
      {{"pick", "lock", "hang, after 0."}, {"probe_event", "spin", "hang, after 0."}},
  };
  return some[static_cast<std::size_t>(nth)];
}

/// A balancer with a strategy, a checker and a sink that can turn, and 200 clients.
class Stage {
 public:
  Stage(std::string relay, int workers)
      : relay_(std::move(relay)),
        workers_(workers),
        placed_(place(0)),
        balancer(config({}), lettingThingsLie({{"LEMONADE_LOG", ""}})) {
    if (const auto line = relayLine(balancer.process()); field(line, "relay") != relay_) skip(field(line, "reason"));
    crowd.emplace(balancer.address());
  }

  /// Has the plugin of this row do that from now on, and shows that it did no harm.
  void survive(const Row& row) {
    CAPTURE(row.function, row.deed);
    prepare(row, "0s");
    const auto from = balancer.process().logSize();
    setOff(row);
    const auto line = balancer.process().waitForLog("ERROR plugin: a call of a plugin was broken off", 15s, from);
    INFO(line);
    const Stopwatch watch;
    CHECK(eventually([&] { return stateOf(row) == (row.isOfStrategy() ? "stands_in 1.0.0" : "broken 1.0.0"); }, 1s));
    CHECK(field(line, "plugin") == idOf(row));
    CHECK(field(line, "version") == (row.isOfStrategy() ? "2.0.0" : "1.0.0"));
    CHECK(field(line, "function") == row.function);
    CHECK(contains(line, row.words));
    expectAllServed(kHangLimit + 1'000ms);
  }

  /// Has a strategy on probation give such answers, which are no fault of a call; returns how many requests failed.
  std::uint64_t takeBack(const std::string& answer, const std::string& words) {
    CAPTURE(answer);
    const Row row{"answers", answer, words};
    prepare(row, "30s");
    const auto from = balancer.process().logSize();
    setOff(row);
    const auto line = balancer.process().waitForLog("a strategy on probation fares badly and is taken back", 15s, from);
    CHECK(contains(line, words));
    CHECK(eventually([&] { return stateOf(row) == "stands_in 1.0.0"; }, 1s));
    CHECK(crowd->allServed());
    return crowd->forgiveFailed();
  }

  /// A strategy that faults in pick is released and faults again; nothing of that stays.
  void checkNothingPilesUp(int rounds) {
    prepare({"pick", "segv", ""}, "0s");
    const auto round = [&] {
      setOff({"pick", "segv", ""});
      REQUIRE(eventually([&] { return stateOf({"pick", "segv", ""}) == "stands_in 1.0.0"; }, 1s));
      REQUIRE(release(kStrategy).status == 200);
    };
    const auto held = [&] {
      REQUIRE(crowd->rest());
      return Holdings(balancer.process().pid());
    };
    for (int i = 0; i < 20; ++i) round();
    const Holdings before = held();
    crowd->work();
    for (int i = 0; i < rounds; ++i) round();
    Holdings after = held();
    CHECK(eventually([&] { return (after = held()).descriptors <= before.descriptors; }));
    CHECK(eventually([&] { return (after = held()).threads <= before.threads; }));
    WARN(rounds << " rounds: descriptors " << before.descriptors << " -> " << after.descriptors << ", threads "
                << before.threads << " -> " << after.threads << ", mappings " << before.mappings << " -> "
                << after.mappings << ", memory " << before.resident_kib << " -> " << after.resident_kib << " KiB");
    if (LEMONADE_SANITIZED == 0) CHECK(after.resident_kib < before.resident_kib + 2'000);
    crowd->work();
    expectAllServed(1'000ms);
  }

  /// Each client is answered, none has failed and none has waited longer than that.
  void expectAllServed(Millis wait) {
    CHECK(crowd->allServed());
    CHECK(crowd->failures() == std::vector<std::string>());
    CHECK(crowd->failed() == 0);
    CHECK(crowd->longest() <= wait * timeFactor());
  }

 private:
  Config config(const Row& row, const std::string& probation = "0s") const {
    const bool of_sink = row.function == "flush" || row.function == "render";
    const bool of_checker = row.function == "probe_event";
    const std::string deed = of_sink || of_checker ? "" : row.function + ":" + row.deed;
    const auto folders = "[\"" + folder_.path().string() + "\", \"" + checker_.folder() + "\", \"" + sink_.folder() +
                         "\", \"" + testPluginFolder() + "\"]";
    return unwatched()
        .set("proxy.relay", relay_)
        .set("runtime.workers", workers_)
        .raw("plugins.directories", folders)
        .set("plugins.hang_limit", std::to_string(kHangLimit.count()) + "ms")
        .set("plugins.probation", probation)
        .set("strategy.algorithm", kStrategy)
        .raw("strategy.options", "{deed = \"" + deed + "\"}")
        .set("health.checker", checker_.id())
        .raw("health.options", checker_.options(of_checker ? row.deed : ""))
        .set("health.interval", "50ms")
        .raw("metrics.sinks", "[\"prometheus\", \"" + sink_.id() + "\"]")
        .raw("metrics.options.\"" + sink_.id() + "\"",
             sink_.options(of_sink ? row.deed : "", ", in = \"" + row.function + "\""))
        .set("metrics.interval", "100ms")
        .backend("a", a_.address())
        .backend("z", z_.address());
  }

  /// Puts the version that behaves, or the one that turns, where the balancer finds it.
  bool place(int turns) const {
    std::filesystem::copy_file(LEMONADE_BAD_PLUGINS "/turncoat_" + std::to_string(turns) + ".so",
                               folder_.path() / "new");
    std::filesystem::rename(folder_.path() / "new", folder_.path() / "turncoat.so");
    return true;
  }
  HttpAnswer release(const std::string& id) {
    return httpGet(balancer.adminAddress(), "/api/v1/plugins/" + id + "/release", "POST");
  }
  std::string idOf(const Row& row) const {
    return row.isOfStrategy() ? kStrategy : row.function == "probe_event" ? checker_.id() : sink_.id();
  }
  /// "running 1.0.0".
  std::string stateOf(const Row& row) {
    const auto status = pluginStatus(balancer, idOf(row));
    return status->getValue<std::string>("state") + " " + status->getValue<std::string>("version");
  }

  /// Whatever was before, the plugin of this row runs and behaves, and all clients are served.
  void prepare(const Row& row, const std::string& probation) {
    checker_.turnBack();
    sink_.turnBack();
    place(0);
    write(balancer, config(row, probation));
    bool reloaded = false;
    for (const auto& id : {kStrategy, checker_.id(), sink_.id()}) reloaded = release(id).status == 200 || reloaded;
    if (!reloaded) REQUIRE(requestReload(balancer).status == 200);
    const bool of_strategy = row.isOfStrategy();
    if (of_strategy) {
      REQUIRE(stateOf(row) == "running 1.0.0");
      if (probation != "0s") REQUIRE(crowd->allServed());
      place(1);
      REQUIRE(requestReload(balancer).status == 200);
    }
    REQUIRE(stateOf(row) == (of_strategy ? "running 2.0.0" : "running 1.0.0"));
    expectAllServed(2'000ms);
  }

  void setOff(const Row& row) {
    if (row.function == "probe_event") return checker_.turn();
    if (row.function == "flush") return sink_.turn();
    if (row.function == "render") {
      sink_.turn();
      CHECK(httpGet(balancer.adminAddress(), "/metrics/" + sink_.id()).status == 503);
      return;
    }
    if (row.function == "prepare") {
      const auto answer = httpGet(balancer.adminAddress(), "/api/v1/pools/default/backends/a/weight?value=13", "POST");
      CHECK(answer.status == 200);
      return;
    }
    Socket client = Socket::connect(balancer.address(), kTrap);
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    CHECK(client.receiveLine() == "HTTP/1.1 200 OK\r");
  }

  const std::string relay_;
  const int workers_;
  const TemporaryFolder folder_;
  const LatePlugin checker_{"late_checker"}, sink_{"late_sink"};
  const Responder a_{'a'}, z_{'z'};
  const bool placed_;

 public:
  Balancer balancer;
  std::optional<Crowd> crowd;
};

}  // namespace

TEST_CASE("No way in which a plugin turns costs any of 200 clients a request", "[containment][misdeeds]") {
  const int nth = GENERATE(0, 1, 2, 3);
  const std::string relay = nth % 2 == 0 ? "epoll" : "io_uring";
  const int workers = nth < 2 ? 4 : 1;
  CAPTURE(relay, workers);
  Stage stage(relay, workers);
  auto rows = everyMisdeed() ? allRows() : someRows(nth);
  std::erase_if(rows, isBeyondSanitizer);
  for (const auto& row : rows) stage.survive(row);
  WARN(rows.size() << " misdeeds over " << relay << ", " << workers << " workers: " << stage.crowd->served()
                   << " requests, " << stage.crowd->failed() << " failed");
  if (everyMisdeed()) stage.checkNothingPilesUp(100);
}

TEST_CASE("What a strategy on probation answers costs 200 clients at most one request for each worker",
          "[containment][misdeeds]") {
  if (!everyMisdeed()) return;
  const std::string relay = GENERATE(as<std::string>{}, "epoll", "io_uring");
  const int workers = GENERATE(1, 4);
  CAPTURE(relay, workers);
  Stage stage(relay, workers);
  CHECK(stage.takeBack("9999", "picks could not be used, more than 1 %") == 0);
  CHECK(stage.takeBack("slow", "picks took") == 0);
  for (const char* answer : {"none", "reject"}) {
    const auto failed = stage.takeBack(answer, "picks gave no backend though there was one");
    WARN(failed << " requests failed until a strategy was taken back that answers " << answer);
    CHECK(failed <= static_cast<std::uint64_t>(workers));
  }
}

}  // namespace lemonade::test
