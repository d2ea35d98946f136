// SPDX-License-Identifier: MIT
//
// What a balancer dies of is not run by the next one: plugins whose faults no handler can mend.
#include "e2e/misfit.h"
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "e2e/turncoat.h"
#include "support/facts.h"
#include "support/server.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

using namespace std::chrono_literals;

namespace lemonade::test {
namespace {

constexpr const char* kRefused = "the balancer died of a plugin, whose file is refused until it changes or is released";

/// A supervised balancer with a plugin that ends it from when it is told to.
struct Dying {
  /// The strategy has this misdeed.
  explicit Dying(const std::string& misdeed) : misfit(misdeed) { start(misfit.config()); }
  explicit Dying(Config config) { start(config); }

  void start(Config config) {
    config.set("runtime.supervisor", "on").backend("a", server.address());
    balancer.emplace(config, Environment{{"LEMONADE_LB_SUPERVISOR", ""}, {"LEMONADE_TEST_FATAL", file()}});
    REQUIRE(balancer->ask() == "a");
  }

  std::string file() const { return (folder.path() / "now").string(); }
  /// From now on each pick ends the process.
  void begin() const { folder.write("now", ""); }
  /// Has a client come, with whom the process ends; another one serves.
  pid_t dieOnce(pid_t serving) {
    const Socket client = balancer->connect();
    return awaitOther(*balancer, serving);
  }

  /// The state of the plugin of this id in the status.
  std::string stateOf(const std::string& id) {
    const auto plugins = balancer->status()->getArray("plugins");
    for (unsigned i = 0; i < plugins->size(); ++i)
      if (plugins->getObject(i)->getValue<std::string>("id") == id)
        return plugins->getObject(i)->getValue<std::string>("state");
    return "";
  }

  Server server{named("a")};
  const TemporaryFolder folder;
  const Misfit misfit;
  std::optional<Balancer> balancer;
};

/// Releases a plugin that ends the process as soon as it runs again: before the process has answered, or after.
void releaseAndDie(Balancer& balancer, const std::string& id) {
  int status = 200;
  try {
    status = httpGet(balancer.adminAddress(), "/api/v1/plugins/" + id + "/release", "POST").status;
  } catch (const std::exception&) {
    // The answer was lost with the process.
  }
  CHECK(status == 200);
}

}  // namespace

TEST_CASE("A plugin that a balancer died of is refused by the next one, which serves without", "[supervisor]") {
  Dying dying("fault_in_free");
  auto& balancer = *dying.balancer;
  const pid_t first = servingPid(balancer);
  dying.begin();
  dying.dieOnce(first);
  const auto line = balancer.process().waitForLog(kRefused);
  CHECK(field(line, "plugin") == "com.example.misfit");
  CHECK(field(line, "version") == "1.0.0-fault_in_free");
  CHECK_THAT(line, Catch::Contains("pick faulted on worker"));
  CHECK_THAT(line, Catch::Contains("signal 11 (SIGSEGV)"));
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask() == "a");
  CHECK(balancer.status()->getObject("supervisor")->getValue<int>("deaths") == 1);
}

TEST_CASE("A plugin that overwrites the way back to the host and faults ends the balancer, and the next one refuses it",
          "[supervisor]") {
  Dying dying("overwrite_stack");
  auto& balancer = *dying.balancer;
  dying.begin();
  dying.dieOnce(servingPid(balancer));
  const auto died = balancer.process().waitForLog("a plugin's fault cannot be survived and ends the process");
  CHECK_THAT(died, Catch::Contains("the way back to the host was overwritten"));
  CHECK(field(died, "plugin") == "com.example.misfit");
  // By what the supervisor learnt of the death, or what the balancer told it before, where it still could.
  const auto line = balancer.process().waitForLog(" is quarantined: ");
  CHECK_THAT(line, Catch::Contains("plugin com.example.misfit 1.0.0-overwrite_stack"));
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask() == "a");
  CHECK(balancer.status()->getObject("supervisor")->getValue<int>("deaths") == 1);
}

TEST_CASE("A plugin that was running at two deaths without a word is refused after the second", "[supervisor]") {
  Dying dying("die_in_pick");
  auto& balancer = *dying.balancer;
  dying.begin();
  const pid_t second = dying.dieOnce(servingPid(balancer));
  CHECK(balancer.status()->getObject("supervisor")->getValue<int>("deaths") == 1);
  dying.dieOnce(second);
  const auto line = balancer.process().waitForLog(kRefused);
  CHECK_THAT(line, Catch::Contains("pick was running when the balancer ended by signal 9 (SIGKILL), the second time"));
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask() == "a");
  CHECK(balancer.status()->getObject("supervisor")->getValue<int>("deaths") == 2);
}

TEST_CASE("The version before takes the place of one that was running at two deaths", "[supervisor]") {
  Turned turned("pick:kill", "400ms", 2, true, true);
  auto& balancer = turned.balancer;
  pid_t serving = servingPid(balancer);
  for (int deaths = 0; deaths < 2; ++deaths) {
    const Socket client = Socket::connect(balancer.address(), Turned::kTrap);
    serving = awaitOther(balancer, serving);
  }
  (void)balancer.process().waitForLog("version 1.0.0 takes its place until then");
  CHECK(turned.version() == "1.0.0");
  CHECK(turned.state() == "stands_in");
  turned.setOff();
  CHECK(servingPid(balancer) == serving);
}

TEST_CASE("The version that stands in for another one does so in the processes that follow, until that is released",
          "[supervisor]") {
  Turned turned("pick:segv", "400ms", 2, true, true);
  auto& balancer = turned.balancer;
  turned.setOff();
  REQUIRE(turned.isBack());
  const pid_t first = servingPid(balancer);
  REQUIRE(::kill(first, SIGKILL) == 0);
  const pid_t second = awaitOther(balancer, first);
  CHECK(turned.version() == "1.0.0");
  CHECK(turned.state() == "stands_in");
  REQUIRE(upgrade(balancer) != second);
  CHECK(turned.version() == "1.0.0");
  CHECK(turned.state() == "stands_in");
  CHECK(turned.release().status == 200);
  CHECK(turned.version() == "2.0.0");
  // It has what it can go back to still.
  turned.setOff();
  CHECK(turned.isBack());
}

TEST_CASE("A checker or a sink that a balancer died of is not called by the next one, which serves", "[supervisor]") {
  const std::string which = GENERATE("dying_checker", "dying_sink");
  Config config = unwatched().set("plugins.preflight", "off");  // which would refuse it
  if (which == "dying_checker")
    config.set("health.checker", "com.example.dying_checker").set("health.interval", "50ms");
  else
    config.raw("metrics.sinks", "[\"prometheus\", \"com.example.dying_sink\"]").set("metrics.interval", "100ms");
  Dying dying(config);
  auto& balancer = *dying.balancer;
  const pid_t first = servingPid(balancer);
  dying.begin();
  const auto line = balancer.process().waitForLog(kRefused);
  CHECK(field(line, "plugin") == "com.example." + which);
  const pid_t second = awaitOther(balancer, first);
  CHECK(eventually([&] { return balancer.ask() == "a"; }));
  CHECK(dying.stateOf("com.example." + which) == "broken");
  CHECK_THAT(balancer.admin("/readyz").body, Catch::Contains("degraded") && Catch::Contains(which));
  // Released while it still would end the process, it is refused again.
  releaseAndDie(balancer, "com.example." + which);
  awaitOther(balancer, second);
  CHECK(eventually([&] { return balancer.ask() == "a"; }));
  CHECK(dying.stateOf("com.example." + which) == "broken");
}

}  // namespace lemonade::test
