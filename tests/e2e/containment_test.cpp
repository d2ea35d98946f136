// SPDX-License-Identifier: MIT
//
// A strategy that turns while clients are at work costs none of them anything: its call is broken off, the log names
// it, and the version before is back within a second.
#include "e2e/turncoat.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <string>

namespace lemonade::test {
namespace {

struct Deed {
  std::string text;    ///< where and what
  std::string kind;    ///< in the metric
  std::string signal;  ///< in the log
};

void expectNamed(Turned& turned, const Deed& deed) {
  auto& process = turned.balancer.process();
  const auto line = process.waitForLog("ERROR plugin: a call of a plugin was broken off");
  INFO(line);
  const auto function = deed.text.substr(0, deed.text.find(':'));
  CHECK(field(line, "plugin") == "com.example.turncoat");
  CHECK(field(line, "version") == "2.0.0");
  CHECK(field(line, "file") == (turned.folder.path() / "turncoat.so").string());
  CHECK(field(line, "function") == function);
  CHECK(contains(line, deed.signal));
  CHECK(contains(line, "turncoat.so+0x"));
  CHECK(process.countLog("a call of a plugin was broken off", 1) == 1);
  CHECK(turned.balancer.metric("lemonade_plugin_faults_total",
                               {"function=\"" + function + "\"", "kind=\"" + deed.kind + "\""}) >= 1);
  CHECK(turned.balancer.metric("lemonade_plugin_quarantined", {"com.example.turncoat", "2.0.0"}) == 1);
}

void checkSurvived(const Deed& deed, int workers) {
  CAPTURE(deed.text, workers);
  Turned turned(deed.text, "400ms", workers);
  Load load(turned.balancer);
  turned.setOff();
  CHECK(turned.isBack());
  expectNamed(turned, deed);
  const auto ready = turned.balancer.admin("/readyz");
  CHECK(ready.status == 200);
  CHECK(contains(ready.body, "ready, degraded: plugin com.example.turncoat 2.0.0 is quarantined: "));
  for (int i = 0; i < 20; ++i) CHECK_NOTHROW(turned.requestFrom(Turned::kTrap));
  REQUIRE(eventually([&] { return load.leastServed() > 5; }));
  load.check(5);
}

}  // namespace

TEST_CASE("A strategy that faults in pick costs no client anything and the version before is back", "[containment]") {
  const auto deed =
      GENERATE(Deed{"pick:segv", "SIGSEGV", "SIGSEGV at 0x8"}, Deed{"pick:fpe", "SIGFPE", "SIGFPE"},
               Deed{"pick:abort", "SIGABRT", "SIGABRT"},
               Deed{"pick:throw", "exception", "exception std::runtime_error"}, Deed{"pick:exit", "exit", "exit()"},
               Deed{"pick:_exit", "exit", "_exit()"}, Deed{"pick:recurse", "SIGSEGV", "SIGSEGV"});
  if (LEMONADE_SANITIZED != 0 && deed.text == "pick:recurse") return;
  checkSurvived(deed, 1);
  checkSurvived(deed, 4);
}

TEST_CASE("A strategy that hangs in pick is broken off at its limit", "[containment]") {
  const auto deed = GENERATE(Deed{"pick:spin", "hang", "hang, after 0."}, Deed{"pick:lock", "hang", "hang, after 0."});
  checkSurvived(deed, 1);
  checkSurvived(deed, 4);
}

TEST_CASE("A strategy that faults in event or prepare is replaced", "[containment]") {
  const auto deed = GENERATE(Deed{"event:segv", "SIGSEGV", "SIGSEGV at 0x8"}, Deed{"event:exit", "exit", "exit()"},
                             Deed{"event:spin", "hang", "hang, after 0."}, Deed{"prepare:abort", "SIGABRT", "SIGABRT"},
                             Deed{"prepare:lock", "hang", "hang, after 0."});
  checkSurvived(deed, 2);
}

TEST_CASE("A slow call is named while it runs", "[containment][relayed]") {
  Turned turned("pick:spin", "1h");
  Socket client = Socket::connect(turned.balancer.address(), Turned::kTrap);
  const auto line = turned.balancer.process().waitForLog("a call of a plugin is slow and still runs");
  CHECK(field(line, "plugin") == "com.example.turncoat");
  CHECK(field(line, "function") == "pick");
  CHECK(contains(line, "thread=worker-"));
  REQUIRE(eventually([&] { return turned.balancer.status()->getArray("slow_calls")->size() == 1; }));
  const auto call = turned.balancer.status()->getArray("slow_calls")->getObject(0);
  CHECK(call->getValue<std::string>("plugin") == "com.example.turncoat");
  CHECK(call->getValue<double>("seconds") >= 0.1);
  CHECK(turned.balancer.metric("lemonade_plugin_slow_calls_total", {"function=\"pick\""}) == 1);
  // So that it can be stopped; what is shorter than it has lasted ends it.
  REQUIRE(contains(reload(turned.balancer, turned.config("1s", 2)), "plugins.hang_limit"));
  CHECK(request(client) != 0);
}

TEST_CASE("What is quarantined is refused until its file changes or it is released", "[containment]") {
  Turned turned("pick:segv");
  auto& balancer = turned.balancer;
  CHECK(turned.release().status == 404);
  turned.setOff();
  REQUIRE(turned.isBack());

  const auto refused = requestReload(balancer);
  CHECK(refused.status == 422);
  CHECK(contains(refused.body, "plugin com.example.turncoat 2.0.0 ("));
  CHECK(contains(refused.body, "is quarantined: SIGSEGV at 0x8 in pick (turncoat.so+0x"));
  CHECK(turned.version() == "1.0.0");

  SECTION("what else has changed is taken over meanwhile") {
    const auto lines = reload(balancer, turned.config("400ms", 3));
    CHECK(contains(lines, "runtime.workers 2 -> 3"));
    CHECK(turned.version() == "1.0.0");
    CHECK(turned.state() == "stands_in");
  }
  SECTION("a release") {
    const auto released = turned.release();
    CHECK(released.status == 200);
    CHECK(contains(released.body, "strategy com.example.turncoat: new code, version 2.0.0"));
    CHECK(turned.version() == "2.0.0");
    CHECK(turned.state() == "running");
    CHECK(balancer.admin("/readyz").body == "ready\n");
    turned.setOff();
    CHECK(turned.isBack());
    CHECK(turned.release().status == 200);
  }
  SECTION("another content of the file") {
    turned.place(0);
    CHECK(requestReload(balancer).status == 200);
    CHECK(turned.version() == "1.0.0");
    CHECK(turned.state() == "running");
    CHECK(balancer.admin("/readyz").body == "ready\n");
    CHECK(balancer.metric("lemonade_plugin_quarantined") == 0);
    turned.place(1);
    CHECK(contains(requestReload(balancer).body, "is quarantined"));
  }
}

TEST_CASE("Where no version ran before the host itself chooses", "[containment]") {
  Turned turned("pick:segv");
  auto& balancer = turned.balancer;
  turned.setOff();
  REQUIRE(turned.isBack());
  REQUIRE(contains(reload(balancer, turned.config("400ms", 2).set("strategy.algorithm", "round_robin")), "strategy"));
  REQUIRE(turned.release().status == 200);
  // A pool of its own has no version before.
  REQUIRE(
      contains(reload(balancer, turned.config("400ms", 2)
                                    .listener("alt", "alt")
                                    .toml("[pools.alt]\nstrategy.algorithm = \"com.example.turncoat\"\nbackends = \"" +
                                          turned.a.address() + "\"\n")
                                    .set("strategy.algorithm", "round_robin")),
               "pool alt added"));
  Socket client = Socket::connect(balancer.addressOf("alt"), Turned::kTrap);
  CHECK(request(client) == 'a');
  balancer.process().waitForLog("instead=\"the host's own choice, by weight\"");
  REQUIRE(eventually([&] {
    const auto plugins = balancer.status()->getArray("plugins");
    for (unsigned i = 0; i < plugins->size(); ++i)
      if (plugins->getObject(i)->getValue<std::string>("id") == "host") return true;
    return false;
  }));
  Socket another = Socket::connect(balancer.addressOf("alt"));
  CHECK(request(another) == 'a');
}

TEST_CASE("A strategy whose picks fare badly after a swap is taken back and named with the numbers", "[containment]") {
  struct Answers {
    const char* text;
    const char* reason;
  };
  const auto answers = GENERATE(Answers{"answers:none", "picks gave no backend though there was one, after 0.0 %"},
                                Answers{"answers:reject", "picks gave no backend though there was one, after 0.0 %"},
                                Answers{"answers:9999", "picks could not be used, more than 1 %"},
                                Answers{"answers:slow", "picks took"});
  CAPTURE(answers.text);
  Turned turned(answers.text, "2s", 2, false);
  int refused = 0;
  const auto ask = [&](int times) {
    for (int i = 0; i < times; ++i) try {
        turned.requestFrom("");
      } catch (const std::exception&) {
        ++refused;
      }
  };
  ask(1'500);  // of which one in 64 tells how long a pick takes
  turned.turn();
  ask(1);
  turned.setOff();
  ask(150);
  const auto line = turned.balancer.process().waitForLog("a strategy on probation fares badly and is taken back");
  INFO(line);
  CHECK(contains(line, answers.reason));
  CHECK(field(line, "version") == "2.0.0");
  CHECK(turned.isBack());
  CHECK(refused <= (contains(answers.reason, "gave no backend") ? 2 : 0));  // one for each worker
  CHECK(contains(requestReload(turned.balancer).body, "is quarantined: on probation "));
}

TEST_CASE("A strategy that fares well on probation stays", "[containment]") {
  Turned turned("answers:none");
  for (int i = 0; i < 300; ++i) turned.requestFrom("");
  CHECK_FALSE(eventually([&] { return turned.version() != "2.0.0"; }, 1s));
}

TEST_CASE("Memory and descriptors stay where they are over a hundred faults", "[containment]") {
  if (LEMONADE_SANITIZED != 0) return;
  Turned turned("pick:segv");
  auto& balancer = turned.balancer;
  const auto residentKb = [&] {
    std::ifstream status("/proc/" + std::to_string(balancer.process().pid()) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    return 0L;
  };
  const auto open = [&] { return balancer.status()->getObject("descriptors")->getValue<int>("open"); };
  const auto round = [&] {
    turned.setOff();
    REQUIRE(turned.isBack());
    REQUIRE(turned.release().status == 200);
  };
  for (int i = 0; i < 10; ++i) round();
  const long memory = residentKb();
  const int descriptors = open();
  for (int i = 0; i < 100; ++i) round();
  CHECK(residentKb() < memory + 2'000);
  CHECK(open() <= descriptors + 2);
  CHECK(balancer.metric("lemonade_plugin_mapped_generations") < 6);
}

TEST_CASE("Without containment a plugin that faults ends the process by its signal", "[containment]") {
  Server backend(http("a"));
  const TemporaryFolder folder;
  std::filesystem::copy_file(LEMONADE_BAD_PLUGINS "/turncoat_1.so", folder.path() / "turncoat.so");
  const auto file =
      folder.write("lemonade.toml", unwatched()
                                        .raw("plugins.directories", "[\"" + folder.path().string() + "\"]")
                                        .set("plugins.containment", "off")
                                        .set("strategy.algorithm", "com.example.turncoat")
                                        .set("health.checker", "none")
                                        .raw("metrics.sinks", "[]")
                                        .backend("a", backend.address())
                                        .text());
  Process process(lemonade({"lb", "--config", file}),
                  {{"LEMONADE_TURNCOAT", "pick:segv"}, {"LEMONADE_LB_SUPERVISOR", "off"}});
  const auto address = field(process.waitForLog("proxy: listening"), "address");
  process.waitForLog("app: ready");
  Socket client = Socket::connect(address, Turned::kTrap);
  CHECK(process.wait() == 128 + SIGSEGV);
}

}  // namespace lemonade::test
