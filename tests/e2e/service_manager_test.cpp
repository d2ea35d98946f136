// SPDX-License-Identifier: MIT
//
// What the service manager is told, to a stand-in that speaks systemd's notify protocol; tests/deploy/systemd.sh has
// the real one.
#include "base/clock.h"
#include "e2e/misfit.h"
#include "e2e/processes.h"
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "support/facts.h"
#include "support/notify_socket.h"
#include "support/server.h"

#include <signal.h>
#include <sys/syscall.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
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

std::string freeAddress() {
  Server server(echo());
  return server.address();
}

/// What the service manager calls a socket that it keeps.
std::string keptAs(const std::string& purpose, std::string address) {
  std::replace(address.begin(), address.end(), ':', '_');
  return "kept-" + purpose + "-" + address;
}

std::string boundTo(const Fd& socket) { return Socket(Fd(::dup(socket.get()))).localAddress(); }

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
                    .set("plugins.hang_limit", "0s")  // else the hang would be over before long
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
  CHECK(managed.manager.count("STATUS") == 1);
  CHECK(valueOf(ready, "STATUS") == "1 of 1 backends eligible, 0 sessions");
  Socket client = managed.balancer.connect();
  client.send("hello");
  CHECK(client.receive(5) == "hello");
}

TEST_CASE("Ready comes only after the first checks and the start asks for the time they take", "[service]") {
  BlackHole hole;
  NotifySocket manager;
  Balancer balancer(
      Config().realChecks().set("health.timeout", "300ms").set("health.initial", "check").backend("a", hole.address()),
      {{"NOTIFY_SOCKET", manager.path()}});
  const auto starting = manager.waitFor("EXTEND_TIMEOUT_USEC");
  CHECK(valueOf(starting, "EXTEND_TIMEOUT_USEC") == "10300000");
  CHECK_THAT(valueOf(starting, "STATUS"), Catch::Contains("first checks"));
  CHECK(manager.count("READY=1") == 0);
  CHECK_THAT(manager.waitFor("READY=1"), Catch::StartsWith("READY=1\nSTATUS=0 of 1 backends eligible"));
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

TEST_CASE("The service manager is given each listening socket to keep and each once", "[service]") {
  Managed managed;
  std::map<std::string, std::string> kept;
  while (kept.size() < 2) {
    const auto message = managed.manager.waitFor("FDSTORE=1");
    CHECK(valueOf(message, "FDPOLL") == "0");
    REQUIRE(managed.manager.descriptors().size() == 1);
    kept[valueOf(message, "FDNAME")] = boundTo(managed.manager.descriptors()[0]);
  }
  const std::string proxy = managed.balancer.address(), admin = managed.balancer.adminAddress();
  CHECK(kept == std::map<std::string, std::string>{{keptAs("proxy", proxy), proxy}, {keptAs("admin", admin), admin}});
  reload(managed.balancer, managed.config.set("proxy.retries", 3));
  managed.manager.waitFor("READY=1");
  CHECK(managed.manager.count("FDSTORE") == 2);
}

TEST_CASE("A listener that a reload drops is kept no longer and one that it adds is", "[service]") {
  Managed managed;
  managed.manager.waitFor("READY=1");
  const auto before = keptAs("proxy", managed.balancer.address());
  reload(managed.balancer, managed.config.set("proxy.listen_address", "[::1]:0"));
  CHECK(valueOf(managed.manager.waitFor("FDSTOREREMOVE=1"), "FDNAME") == before);
  const auto added = field(managed.balancer.process().waitForLog("proxy: listening address=[::1]"), "address");
  CHECK(valueOf(managed.manager.waitFor("FDSTORE=1"), "FDNAME") == keptAs("proxy", added));
}

TEST_CASE("Sockets that a service manager hands over are served by address and then by name", "[service]") {
  Server server(named("a"));
  const auto proxy = freeAddress(), admin = freeAddress();
  const bool kept = GENERATE(false, true);  // from before a restart, as well as by a unit of type socket
  CAPTURE(kept);
  Arguments sockets = {"python3", LEMONADE_ACTIVATE, "whatever=" + proxy, "admin=" + admin};
  if (kept) sockets.insert(sockets.end(), {keptAs("proxy", proxy) + "=" + proxy, keptAs("admin", admin) + "=" + admin});
  sockets.push_back("--");
  Balancer balancer(Config()
                        .set("proxy.listen_address", proxy)
                        .set("admin.listen_address", "127.0.0.1:0")
                        .backend("a", server.address()),
                    {}, sockets);
  CHECK(balancer.address() == proxy);
  CHECK(balancer.adminAddress() == admin);
  CHECK(balancer.ask() == "a");
  CHECK(balancer.admin("/healthz").status == 200);
  CHECK(balancer.process().countLog("closed a socket") == 0);
}

TEST_CASE("A socket that was kept and that no listener has any more is kept no longer", "[service]") {
  const std::string supervisor = GENERATE("off", "on");
  CAPTURE(supervisor);
  NotifySocket manager;
  Server server(named("a"));
  const auto before = freeAddress();
  Balancer balancer(Config().set("proxy.listen_address", freeAddress()).backend("a", server.address()),
                    {{"NOTIFY_SOCKET", manager.path()}, {"LEMONADE_LB_SUPERVISOR", supervisor}},
                    {"python3", LEMONADE_ACTIVATE, keptAs("proxy", before) + "=" + before, "--"});
  CHECK(valueOf(manager.waitFor("FDSTOREREMOVE=1"), "FDNAME") == keptAs("proxy", before));
  CHECK(balancer.address() != before);
  CHECK(eventually([&] { return isRefused(before); }));
}

TEST_CASE("Under a supervisor the one that serves speaks and after an upgrade the next one", "[service]") {
  NotifySocket manager;
  Server server(named("a"));
  // As systemd does, which knows the process that it starts and no other.
  Balancer balancer(Config().backend("a", server.address()),
                    {{"NOTIFY_SOCKET", manager.path()}, {"WATCHDOG_USEC", "1000000"}, {"LEMONADE_LB_SUPERVISOR", "on"}},
                    {"sh", "-c", "WATCHDOG_PID=$$ exec \"$@\"", "sh"});
  manager.waitFor("READY=1");
  manager.waitFor("WATCHDOG=1");
  balancer.process().signal(SIGUSR2);
  manager.waitFor("READY=1");
  waitUntilStopped(balancer.process());
  manager.waitFor("WATCHDOG=1");
  CHECK(manager.count("STOPPING=1") == 0);
  CHECK(manager.count("FDSTOREREMOVE=1") == 0);
  CHECK(balancer.ask() == "a");
  CHECK(balancer.stop() == 0);
  manager.waitFor("STOPPING=1");
}

TEST_CASE("Without a service manager nobody is told anything and no thread is there for it", "[service]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()), {{"WATCHDOG_USEC", "1000000"}, {"NOTIFY_SOCKET", ""}});
  CHECK(balancer.ask() == "a");
  CHECK(hasThread(balancer.process().pid(), "watchdog"));
  CHECK(!hasThread(balancer.process().pid(), "service"));
}

TEST_CASE("Whatever a service manager's variables hold clients are served and a stop is graceful", "[service]") {
  const auto [name, value] = GENERATE(table<std::string, std::string>({{"NOTIFY_SOCKET", "relative"},
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
