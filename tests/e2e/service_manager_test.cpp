// SPDX-License-Identifier: MIT
//
// What the service manager is told, to a stand-in that speaks systemd's notify protocol; tests/deploy/systemd.sh has the
// real one.
#include "base/clock.h"
#include "e2e/misfit.h"
#include "e2e/processes.h"
#include "e2e/reloading.h"
#include "support/notify_socket.h"
#include "support/server.h"

#include <signal.h>
#include <sys/syscall.h>

#include <catch2/catch.hpp>
#include <string>

namespace lemonade::test {
namespace {

Environment with(Environment environment, const std::string& name, const std::string& value) {
  environment[name] = value;
  return environment;
}

/// Backends that echo, a balancer in front of them, and a service manager that it speaks to.
struct Managed {
  explicit Managed(const Config& from = unwatched(), const Environment& more = {})
      : config(Config(from).backend("a", server.address())),
        balancer(config, with(more, "NOTIFY_SOCKET", manager.path())) {}

  NotifySocket manager;
  Server server{echo()};
  Config config;
  Balancer balancer;
};

std::string valueOf(const std::string& message, const std::string& name) {
  const auto start = ("\n" + message).find("\n" + name + "=");
  if (start == std::string::npos) return "";
  const auto value = start + name.size() + 1;
  return message.substr(value, message.find('\n', value) - value);
}

/// True where that thread waits in a system call that sends.
bool sends(pid_t pid, const std::string& thread) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::string comm;
    std::ifstream(task.path() / "comm") >> comm;
    long call = -1;
    std::ifstream(task.path() / "syscall") >> call;
    if (comm == thread && call == SYS_sendmsg) return true;
  }
  return false;
}

/// A balancer whose strategy hangs in a pick or, as a view is prepared, on the control thread.
struct HungUnderWatch {
  explicit HungUnderWatch(const std::string& misdeed)
      : misfit(misdeed),
        managed(misfit.config()
                    .set("runtime.drain_timeout_millis", 0)
                    .set("runtime.accept_timeout_millis", 500),
                {{"WATCHDOG_USEC", "2000000"}}) {
    managed.manager.waitFor("WATCHDOG=1");
    if (misdeed == "hang_in_pick") {
      client = managed.balancer.connect();
    } else {
      write(managed.balancer, Config(managed.config).backend("b", managed.server.address()));
      managed.balancer.process().signal(SIGHUP);
    }
    managed.balancer.process().waitForLog("the misfit hangs");
  }

  Misfit misfit;
  Managed managed;
  Socket client;
};

}  // namespace

TEST_CASE("The service manager hears that the balancer is ready once clients are served", "[service]") {
  Managed managed;
  const auto ready = managed.manager.waitFor("READY=1");
  CHECK(managed.manager.messages().size() == 1);
  CHECK(valueOf(ready, "STATUS") == "1 of 1 backends eligible, 0 sessions");
  Socket client = managed.balancer.connect();
  client.send("hello");
  CHECK(client.receive(5) == "hello");
}

TEST_CASE("Ready comes only after the first checks and the start asks for the time they take", "[service]") {
  BlackHole hole;
  NotifySocket manager;
  Balancer balancer(Config().realChecks().set("health.timeout", "300ms").set("health.initial", "check").backend(
                        "a", hole.address()),
                    {{"NOTIFY_SOCKET", manager.path()}});
  const auto starting = manager.next(10s);
  CHECK(valueOf(starting, "EXTEND_TIMEOUT_USEC") == "10300000");
  CHECK_THAT(valueOf(starting, "STATUS"), Catch::Contains("first checks"));
  CHECK_THAT(manager.next(10s), Catch::StartsWith("READY=1\nSTATUS=0 of 1 backends eligible"));
}

TEST_CASE("The status follows backends and sessions", "[service]") {
  Managed managed;
  managed.manager.waitFor("READY=1");
  Socket client = managed.balancer.connect();
  client.send("x");
  REQUIRE(client.receive(1) == "x");
  managed.manager.waitFor("STATUS=1 of 1 backends eligible, 1 sessions");
  reload(managed.balancer, Config(managed.config).backend("b", "127.0.0.1:1"));
  managed.manager.waitFor("STATUS=2 of 2 backends eligible, 1 sessions; last reload (request) applied, generation 2");
}

TEST_CASE("A reload is told with its result and when it began", "[service]") {
  Managed managed;
  managed.manager.waitFor("READY=1");
  managed.balancer.folder().write("lemonade.toml", "nonsense = [\n");
  const std::uint64_t before = nowNs() / 1000;
  managed.balancer.process().signal(SIGHUP);
  const auto reloading = managed.manager.waitFor("RELOADING=1");
  const auto began = std::stoull(valueOf(reloading, "MONOTONIC_USEC"));
  CHECK(began >= before);
  CHECK(began <= nowNs() / 1000);
  const auto refused = valueOf(managed.manager.waitFor("READY=1"), "STATUS");
  CHECK_THAT(refused, Catch::StartsWith("last reload (SIGHUP) failed, generation 1: "));
  CHECK_THAT(refused, Catch::Contains("lemonade.toml:"));
  Socket client = managed.balancer.connect();
  client.send("on");
  CHECK(client.receive(2) == "on");

  write(managed.balancer, managed.config.set("proxy.retries", 3));
  managed.balancer.process().signal(SIGHUP);
  managed.manager.waitFor("RELOADING=1");
  const auto applied = valueOf(managed.manager.waitFor("READY=1"), "STATUS");
  CHECK(applied == "last reload (SIGHUP) applied, generation 2");
}

TEST_CASE("A stop is told with the time it takes at most and then only the sessions that are left", "[service]") {
  Managed managed(unwatched().set("runtime.accept_timeout_millis", 7'000).set("runtime.drain_timeout_millis", 6'000));
  Socket client = managed.balancer.connect();
  client.send("x");
  REQUIRE(client.receive(1) == "x");
  managed.balancer.process().signal(SIGTERM);
  const auto stopping = managed.manager.waitFor("STOPPING=1");
  CHECK(valueOf(stopping, "EXTEND_TIMEOUT_USEC") == "12000000");
  managed.manager.waitFor("STATUS=stopping, 1 sessions left");
  client.close();
  CHECK(managed.balancer.process().wait() == 0);
  while (!managed.manager.next(0ms).empty()) {
  }
  CHECK(managed.manager.count("READY=1") == 1);
}

TEST_CASE("The watchdog of an idle balancer is fed at least twice as often as it asks", "[service]") {
  Managed managed(unwatched(), {{"WATCHDOG_USEC", "1000000"}});
  managed.manager.waitFor("READY=1");
  const Stopwatch watch;
  for (int i = 0; i < 8; ++i) managed.manager.waitFor("WATCHDOG=1", 1s);
  CHECK(watch.elapsed() < 4s * timeFactor());
  CHECK(managed.balancer.process().countLog("stands still") == 0);
}

TEST_CASE("Nobody feeds the watchdog once a thread stands still and the log names it", "[service]") {
  const std::string misdeed = GENERATE("hang_in_pick", "hang_in_later_prepare");
  CAPTURE(misdeed);
  HungUnderWatch hung(misdeed);
  auto& process = hung.managed.balancer.process();
  const auto line = process.waitForLog("a thread stands still");
  CHECK_THAT(field(line, "thread"), Catch::StartsWith(misdeed == "hang_in_pick" ? "worker-" : "control"));
  CHECK_THAT(field(line, "for"), Catch::Matches("[0-9]+\\.[0-9]s"));
  while (!hung.managed.manager.next(0ms).empty()) {
  }
  const auto fed = hung.managed.manager.count("WATCHDOG=1");
  const Deadline silence(2500ms);
  while (!silence.over()) (void)hung.managed.manager.next(100ms);
  CHECK(hung.managed.manager.count("WATCHDOG=1") == fed);
}

TEST_CASE("A worker that moves again is said to and the watchdog is fed again", "[service]") {
  const Misfit misfit("slow_pick");  // 120 ms each, and it is asked whether it moves every 20 ms
  Managed managed(misfit.config(), {{"WATCHDOG_USEC", "80000"}});
  managed.manager.waitFor("WATCHDOG=1");
  Socket client = managed.balancer.connect();
  const auto line = managed.balancer.process().waitForLog("a thread stands still");
  managed.balancer.process().waitForLog("a thread moves again");
  managed.manager.waitFor("WATCHDOG=1");
  CHECK_THAT(field(line, "thread"), Catch::StartsWith("worker-"));
}

TEST_CASE("Without a service manager nobody is told anything and no thread is there for it", "[service]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()), {{"WATCHDOG_USEC", "1000000"}, {"NOTIFY_SOCKET", ""}});
  CHECK(balancer.ask() == "a");
  CHECK(hasThread(balancer.process().pid(), "watchdog"));
  CHECK(!hasThread(balancer.process().pid(), "service"));
}

TEST_CASE("Whatever a service manager's variables hold clients are served and a stop is graceful", "[service]") {
  const auto [name, value] = GENERATE(table<std::string, std::string>(
      {{"NOTIFY_SOCKET", "relative"},
       {"NOTIFY_SOCKET", "/nowhere/notify"},
       {"NOTIFY_SOCKET", "/dev/null"},
       {"NOTIFY_SOCKET", "@"},
       {"NOTIFY_SOCKET", "vsock:2:1234"},
       {"NOTIFY_SOCKET", "/" + std::string(300, 'a')},
       {"WATCHDOG_USEC", ""},
       {"WATCHDOG_USEC", "0"},
       {"WATCHDOG_USEC", "1"},
       {"WATCHDOG_USEC", "-1"},
       {"WATCHDOG_USEC", "soon"},
       {"WATCHDOG_USEC", "18446744073709551614"},
       {"WATCHDOG_USEC", "99999999999999999999"},
       {"WATCHDOG_PID", "nobody"},
       {"WATCHDOG_PID", "-7"},
       {"LISTEN_FDS", "1000000"},
       {"LISTEN_FDS", "-1"},
       {"LISTEN_FDS", "three"},
       {"LISTEN_PID", "nobody"}}));
  CAPTURE(name, value);
  NotifySocket manager;
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()),
                    with({{"NOTIFY_SOCKET", manager.path()}, {"WATCHDOG_USEC", "1000000"}}, name, value));
  CHECK(balancer.ask() == "a");
  CHECK(balancer.stop() == 0);
}

TEST_CASE("A service manager that reads nothing holds up neither clients nor a stop", "[service]") {
  Managed managed(unwatched(), {{"WATCHDOG_USEC", "80000"}});
  // The kernel keeps as many messages as net.unix.max_dgram_qlen says, then it has the sender wait.
  REQUIRE(eventually([&] { return sends(managed.balancer.process().pid(), "service"); }, 60s));
  Socket client = managed.balancer.connect();
  client.send("x");
  CHECK(client.receive(1) == "x");
  client.close();
  CHECK(managed.balancer.stop(10s) == 0);
}

}  // namespace lemonade::test
