// SPDX-License-Identifier: MIT
//
// Upgrades of the running balancer: who is refused, cut or left behind, and what a bad one changes.
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "e2e/visitors.h"
#include "support/facts.h"
#include "support/server.h"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace lemonade::test {

namespace {

/// A program of its own, which can be replaced, with the plugins of the one under test.
class Installation {
 public:
  Installation() {
    const fs::path original = lemonade({}).back();
    fs::create_directory(folder_.path() / "bin");
    fs::create_directory_symlink(original.parent_path().parent_path() / "lib", folder_.path() / "lib");
    put();
  }
  std::string program() const { return (folder_.path() / "bin" / "lemonade").string(); }
  std::string write(const Config& config) const { return folder_.write("lb.toml", config.text()); }
  /// Puts the program under test there, as a package manager does.
  void put() const {
    fs::copy_file(lemonade({}).back(), next());
    replace();
  }
  void put(const std::string& content) const {
    folder_.write("next", content);
    replace();
  }

 private:
  fs::path next() const { return folder_.path() / "next"; }
  void replace() const {
    fs::permissions(next(), fs::perms::owner_all);
    fs::rename(next(), program());
  }

  TemporaryFolder folder_;
};

Outcome upgradeCommand(Balancer& balancer, Arguments more = {}) {
  Arguments arguments{
      "upgrade", "--config",
      balancer.folder().write(
          "admin.toml",
          Config().set("admin.listen_address", balancer.adminAddress()).backend("a", "127.0.0.1:9").text())};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run(lemonade(arguments));
}

}  // namespace

TEST_CASE("Upgrades under load refuse and cut nobody", "[upgrade]") {
  Server greeter(named("a")), server(echo());
  Balancer balancer(supervised().backend("a", greeter.address()), kSupervised);
  Visitors visitors(balancer.address(), [](Socket& client) { return client.receiveLine() == "a"; });
  for (int i = 0; i < 3; ++i) {
    const int before = visitors.served();
    upgrade(balancer);
    CHECK(eventually([&] { return visitors.served() > before + 50; }));
  }
  visitors.end();
  CHECK(visitors.failed() == 0);
  CHECK(eventually([&] { return stops(balancer.process()) == 3; }));
}

TEST_CASE("A connection of the process before an upgrade lives until it ends or the drain is over", "[upgrade]") {
  Server server(echo());
  Balancer balancer(supervised().set("runtime.drain_timeout_millis", 60'000).backend("a", server.address()),
                    kSupervised);
  Socket client = servedOnce(balancer);
  const pid_t first = servingPid(balancer);
  upgrade(balancer);
  Socket newcomer = balancer.connect();
  newcomer.send("new");
  CHECK(newcomer.receive(3) == "new");
  client.send("two");
  CHECK(client.receive(3) == "two");
  CHECK(isAlive(first));
  newcomer.close();  // the process before may have taken it just before it stopped accepting
  client.close();
  CHECK(eventually([&] { return !isAlive(first); }));
}

TEST_CASE("A configuration that is wrong fails an upgrade and changes nothing", "[upgrade]") {
  Server server(named("a"));
  Balancer balancer(unwatched().set("runtime.supervisor", "on").backend("a", server.address()), kSupervised);
  const pid_t serving = servingPid(balancer);
  write(balancer, unwatched().set("strategy.algorithm", "nobody").backend("a", server.address()));
  const auto outcome = upgradeCommand(balancer);
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("lemonade.toml:") && Catch::Contains("nobody"));
  balancer.process().waitForLog("the upgrade failed, the running balancer stays");
  CHECK(servingPid(balancer) == serving);
  CHECK(balancer.ask() == "a");
  CHECK(balancer.status()->getObject("supervisor")->getValue<int>("failed_upgrades") == 1);
  CHECK(balancer.metric("lemonade_last_upgrade_success") == 0);
}

TEST_CASE("lemonade upgrade waits for the next process and says which it is", "[upgrade]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  const pid_t before = servingPid(balancer);
  const auto outcome = upgradeCommand(balancer);
  CHECK(outcome.err == "");
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, Catch::Contains("upgraded: version " LEMONADE_VERSION ", process " + std::to_string(before)));
  CHECK_THAT(outcome.out, Catch::Contains("process " + std::to_string(servingPid(balancer)) + "\n"));
}

TEST_CASE("lemonade upgrade finds the balancer by its file or by the environment alone", "[upgrade]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  CHECK(run(lemonade({"upgrade"}), {{"LEMONADE_LB_ADMIN_ADDRESS", balancer.adminAddress()}}).code == 0);
  const TemporaryFolder folder;
  const auto wrong = run(lemonade({"upgrade", "--config", folder.write("lb.toml", "[admin\n")}));
  CHECK(wrong.code == 1);
  CHECK_THAT(wrong.err, Catch::Contains("lb.toml:1:"));
}

TEST_CASE("lemonade upgrade asks at the Unix socket, too", "[upgrade]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto socket = (folder.path() / "admin.sock").string();
  Balancer balancer(supervised().set("admin.socket", socket).backend("a", server.address()), kSupervised);
  const pid_t before = servingPid(balancer);
  SECTION("that it is told") { CHECK(run(lemonade({"upgrade", "--admin", "unix:" + socket})).code == 0); }
  SECTION("that is the usual one") {
    CHECK(run(lemonade({"upgrade"}), {{"RUNTIME_DIRECTORY", folder.path().string()}}).code == 0);
  }
  CHECK(servingPid(balancer) != before);
}

TEST_CASE("lemonade upgrade says where there is no supervisor and no balancer", "[upgrade]") {
  Server server(named("a"));
  {
    Balancer balancer(Config().backend("a", server.address()));
    const auto outcome = upgradeCommand(balancer);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Catch::Contains("runs without a supervisor; set runtime.supervisor"));
  }
  TemporaryFolder folder;
  RefusingPort nobody;
  const auto file = folder.write(
      "lb.toml", Config().set("admin.listen_address", nobody.address()).backend("a", server.address()).text());
  const auto outcome = run(lemonade({"upgrade", "--config", file}));
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("no balancer answers at " + nobody.address()));
}

TEST_CASE("lemonade upgrade signals no process but a balancer's", "[upgrade]") {
  Process bystander({"sleep", "60"});
  const std::string status = R"({"pid": 1, "version": "0", "supervisor": {"pid": )" + std::to_string(bystander.pid()) +
                             R"(, "failed_upgrades": 0, "last_failure": ""}})";
  Server liar([&](Socket& client) {
    while (client.receiveLine() != "\r") {
    }
    client.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(status.size()) + "\r\n\r\n" + status);
  });
  const auto outcome = run(lemonade({"upgrade"}), {{"LEMONADE_LB_ADMIN_ADDRESS", liar.address()}});
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("run this where the balancer runs"));
  CHECK(bystander.wait(0ms) == std::nullopt);
}

TEST_CASE("What a reload cannot change changes by an upgrade", "[upgrade]") {
  Server server(named("a"));
  const auto config = [&](const char* relay) {
    return unwatched().set("runtime.supervisor", "on").set("proxy.relay", relay).backend("a", server.address());
  };
  Environment environment = kSupervised;
  environment["LEMONADE_LB_RELAY"] = "";  // which the conformance suite sets
  Balancer balancer(config("auto"), environment);
  CHECK_THAT(reload(balancer, config("epoll")),
             Catch::Contains("proxy.relay auto -> epoll, from the next start or upgrade on"));
  const auto from = balancer.process().logSize();
  upgrade(balancer);
  CHECK(field(relayLine(balancer.process(), from), "relay") == "epoll");
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A program that cannot be executed or ends at once fails an upgrade and changes nothing", "[upgrade]") {
  Server server(named("a"));
  const Installation place;
  const auto file = place.write(supervised().backend("a", server.address()));
  Process process({place.program(), "lb", "--config", file}, kSupervised);
  const auto address = listenerOf(process);
  waitUntilReady(process);
  const auto failsWith = [&](const std::string& why) {
    const auto from = process.logSize();
    process.signal(SIGUSR2);
    CHECK_THAT(process.waitForLog("the upgrade failed", 10s, from), Catch::Contains(why));
    CHECK(Socket::connect(address).receiveLine() == "a");
  };
  place.put("no program");
  failsWith("Exec format error");
  place.put("#!/bin/sh\nexit 3\n");
  failsWith("exit code 3");
  fs::remove(place.program());
  failsWith("No such file or directory");
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

TEST_CASE("A rollback runs the program before the last upgrade though its file was replaced", "[upgrade]") {
  Server server(named("a"));
  const Installation place;
  const auto file = place.write(supervised().backend("a", server.address()));
  Process process({place.program(), "lb", "--config", file}, kSupervised);
  const auto admin = adminOf(process);
  waitUntilReady(process);
  const auto executable = [&](const std::string& line) {
    return fs::read_symlink("/proc/" + field(line, "pid") + "/exe").string();
  };
  const TemporaryFolder folder;
  const auto config =
      folder.write("admin.toml", Config().set("admin.listen_address", admin).backend("a", "127.0.0.1:9").text());

  const auto refused = run(lemonade({"upgrade", "--config", config, "--rollback"}));
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Catch::Contains("there was no upgrade that could be rolled back"));

  place.put();
  CHECK(run(lemonade({"upgrade", "--config", config})).code == 0);
  const auto upgraded = process.waitForLog("upgraded, the process before drains");
  CHECK(executable(upgraded) == place.program());
  const auto from = process.logSize();
  CHECK(run(lemonade({"upgrade", "--config", config, "--rollback"})).code == 0);
  CHECK(executable(process.waitForLog("upgraded, the process before drains", 10s, from)) ==
        place.program() + " (deleted)");
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

TEST_CASE("A stop while an upgrade is under way ends all processes", "[upgrade]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  balancer.process().signal(SIGUSR2);
  balancer.process().signal(SIGTERM);
  CHECK(balancer.process().wait() == 0);
}

TEST_CASE("Many requests for an upgrade at once are served one at a time", "[upgrade]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  const pid_t before = servingPid(balancer);
  for (int i = 0; i < 5; ++i) balancer.process().signal(SIGUSR2);
  awaitOther(balancer, before);
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A balancer without a supervisor says that it cannot be upgraded", "[upgrade]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()));
  balancer.process().signal(SIGUSR2);
  balancer.process().waitForLog("an upgrade is asked of the supervisor");
  CHECK(balancer.ask() == "a");
}

}  // namespace lemonade::test
