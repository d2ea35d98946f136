// SPDX-License-Identifier: MIT
//
// The supervisor: what becomes of clients, signals and exit codes with a parent between the balancer and who started
// it.
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "support/facts.h"
#include "support/server.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace lemonade::test {
namespace {

/// Clients that come one after the other, a few at a time, and tell those that were refused from those that were cut
/// off once they were in.
class Comers {
 public:
  static constexpr int kMost = 8;

  explicit Comers(std::string address) : address_(std::move(address)) {
    for (int i = 0; i < kMost; ++i) threads_.emplace_back([this] { run(); });
  }
  ~Comers() { end(); }
  void end() {
    end_ = true;
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
  }
  int served() const { return served_; }
  int refused() const { return refused_; }
  int cutOff() const { return cut_off_; }

 private:
  void run() {
    while (!end_) {
      std::optional<Socket> client;
      try {
        client.emplace(Socket::connect(address_));
      } catch (const std::exception&) {
        ++refused_;
        continue;
      }
      try {
        ++(client->receiveLine() == "a" ? served_ : cut_off_);
      } catch (const std::exception&) {
        ++cut_off_;
      }
    }
  }

  const std::string address_;
  std::atomic<bool> end_{false};
  std::atomic<int> served_{0}, refused_{0}, cut_off_{0};
  std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("A balancer that is killed is started again and the clients that come meanwhile wait", "[supervisor]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  const pid_t first = servingPid(balancer);
  CHECK(first != balancer.process().pid());
  REQUIRE(::kill(first, SIGKILL) == 0);
  for (int i = 0; i < 20; ++i) CHECK(balancer.ask() == "a");
  const auto line = balancer.process().waitForLog("the balancer died, it is started again on the same sockets");
  CHECK(field(line, "pid") == std::to_string(first));
  CHECK_THAT(line, Catch::Contains("signal 9 (SIGKILL)"));
  CHECK(awaitOther(balancer, first) != first);
  const auto supervisor = balancer.status()->getObject("supervisor");
  CHECK(supervisor->getValue<int>("deaths") == 1);
  CHECK(supervisor->getValue<std::string>("last_death") == "signal 9 (SIGKILL)");
  CHECK(balancer.metric("lemonade_deaths_total") == 1);
  CHECK_THAT(balancer.admin("/api/v1/events").body, Catch::Contains("the process before died: signal 9 (SIGKILL)"));
}

TEST_CASE("A balancer that dies soon after another one is followed at once, too", "[supervisor]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  pid_t serving = servingPid(balancer);
  for (const int signal : {SIGSEGV, SIGABRT, SIGKILL}) {
    const auto from = balancer.process().logSize();
    REQUIRE(::kill(serving, signal) == 0);
    const auto line = balancer.process().waitForLog("the balancer died", 10s, from);
    CHECK(field(line, "starts_in") == "0.0s");
    CHECK(balancer.ask() == "a");
    serving = awaitOther(balancer, serving);
  }
}

TEST_CASE("No client is refused while balancers are killed under load", "[supervisor]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  Comers comers(balancer.address());
  pid_t serving = servingPid(balancer);
  for (int kills = 0; kills < 3; ++kills) {
    const int before = comers.served();
    REQUIRE(eventually([&] { return comers.served() > before + 50; }));
    REQUIRE(::kill(serving, SIGKILL) == 0);
    serving = awaitOther(balancer, serving);
  }
  const int before = comers.served();
  REQUIRE(eventually([&] { return comers.served() > before + 50; }));
  comers.end();
  CHECK(comers.refused() == 0);
  CHECK(comers.cutOff() <= 3 * Comers::kMost);  // those that the killed ones had
}

TEST_CASE("The fifth death within a minute ends the supervisor with the reason", "[supervisor]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  pid_t serving = servingPid(balancer);
  for (int deaths = 1; deaths < 5; ++deaths) {
    REQUIRE(::kill(serving, SIGKILL) == 0);
    serving = awaitOther(balancer, serving);
  }
  const std::string address = balancer.address();
  balancer.expectCode(3);
  REQUIRE(::kill(serving, SIGKILL) == 0);
  const auto line = balancer.process().waitForLog("the balancer died five times within a minute, giving up");
  CHECK_THAT(line, Catch::Contains("signal 9 (SIGKILL)"));
  CHECK(balancer.process().wait() == 3);
  CHECK(isRefused(address));
}

TEST_CASE("A balancer that cannot start any more has not died and is tried again until it can", "[supervisor]") {
  Server server(named("a"));
  const Config config = unwatched().set("runtime.supervisor", "on").backend("a", server.address());
  Balancer balancer(config, kSupervised);
  const pid_t first = servingPid(balancer);
  write(balancer, Config::verbatim("this is no TOML"));
  const auto from = balancer.process().logSize();
  REQUIRE(::kill(first, SIGKILL) == 0);
  const auto line = balancer.process().waitForLog("ended=\"exit code 1\"", 10s, from);
  CHECK(field(line, "starts_in") == "1.0s");
  write(balancer, config);
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A stop of the supervisor drains and ends both", "[supervisor]") {
  Server server(echo());
  const int signal = GENERATE(SIGTERM, SIGINT, SIGQUIT);
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  const pid_t serving = servingPid(balancer);
  Socket client = servedOnce(balancer);
  const std::string address = balancer.address();
  balancer.process().signal(signal);
  waitUntilStopping(balancer.process());
  // Nobody waits in a queue that nobody serves: the supervisor has let go of the sockets.
  CHECK(eventually([&] { return isRefused(address); }));
  client.send("two");
  CHECK(client.receive(3) == "two");
  client.close();
  CHECK(balancer.process().wait() == 0);
  CHECK_FALSE(isAlive(serving));
}

TEST_CASE("A second signal to the supervisor ends both at once", "[supervisor]") {
  Server server(echo());
  Balancer balancer(supervised().set("runtime.drain_timeout_millis", 60'000).backend("a", server.address()),
                    kSupervised);
  Socket client = servedOnce(balancer);
  balancer.process().signal(SIGTERM);
  waitUntilStopping(balancer.process());
  balancer.process().signal(SIGTERM);
  CHECK(balancer.process().wait(5s) == 0);
}

TEST_CASE("A balancer whose supervisor is killed stops and says so", "[supervisor]") {
  Server server(named("a"));
  TemporaryFolder folder;
  const auto log = (folder.path() / "log").string();
  const auto file = folder.write("lb.toml", supervised().backend("a", server.address()).text());
  Process shell({"bash", "-c", "exec \"$0\" lb --config \"$1\" 2>\"$2\"", lemonade({}).back(), file, log}, kSupervised);
  const auto read = [&] {
    std::ifstream in(log);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  REQUIRE(eventually([&] { return contains(read(), "INFO app: ready"); }));
  shell.signal(SIGKILL);
  CHECK(eventually([&] { return contains(read(), "the supervisor has died, stopping"); }));
  CHECK(eventually([&] { return contains(read(), "INFO app: stopped"); }));
}

TEST_CASE("What keeps a balancer from starting is the exit code of its supervisor, too", "[supervisor]") {
  TemporaryFolder folder;
  SECTION("an address that is taken") {
    Server server(named("a"));
    const auto file = folder.write(
        "lb.toml", supervised().set("proxy.listen_address", server.address()).backend("a", server.address()).text());
    const auto outcome = run(lemonade({"lb", "--config", file}), kSupervised);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Catch::Contains("another program listens there"));
  }
  SECTION("a configuration that is wrong") {
    const auto file = folder.write("lb.toml", supervised().set("strategy.algorithm", "nobody").text());
    const auto outcome = run(lemonade({"lb", "--config", file}), kSupervised);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains("nobody"));
  }
}

TEST_CASE("Whoever starts the supervisor with SIGCHLD ignored gets one that works all the same", "[supervisor]") {
  Server server(named("a"));
  const Arguments wrapper{
      "python3", "-c",
      "import os,signal,sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"};
  Balancer balancer(supervised().backend("a", server.address()), kSupervised, wrapper);
  const pid_t first = servingPid(balancer);
  REQUIRE(::kill(first, SIGKILL) == 0);
  CHECK(balancer.ask() == "a");
  CHECK(awaitOther(balancer, first) != first);
}

TEST_CASE("The supervisor passes SIGHUP on", "[supervisor]") {
  Server server(named("a")), other(named("b"));
  Balancer balancer(unwatched().set("runtime.supervisor", "on").backend("a", server.address()), kSupervised);
  write(balancer, unwatched().set("runtime.supervisor", "on").backend("b", other.address()));
  balancer.process().signal(SIGHUP);
  waitForReloads(balancer, 1);
  CHECK(balancer.ask() == "b");
}

TEST_CASE("A configuration that came through a pipe serves the process after a crash, too", "[supervisor]") {
  Server server(named("a"));
  TemporaryFolder folder;
  const auto file = folder.write("lb.toml", supervised().backend("a", server.address()).text());
  Process process({"bash", "-c", "exec \"$0\" lb --config /dev/stdin < <(cat \"$1\")", lemonade({}).back(), file},
                  kSupervised);
  const auto listening = process.waitForLog("proxy: listening");
  waitUntilReady(process);
  std::ifstream children("/proc/" + std::to_string(process.pid()) + "/task/" + std::to_string(process.pid()) +
                         "/children");
  pid_t child = 0;
  while (children >> child) {
  }  // the last one; the first was the shell's
  REQUIRE(child != 0);
  const auto from = process.logSize();
  REQUIRE(::kill(child, SIGKILL) == 0);
  waitUntilReady(process, from);
  CHECK(Socket::connect(field(listening, "address")).receiveLine() == "a");
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

TEST_CASE("A listener that a reload drops is let go of by the supervisor", "[supervisor]") {
  Server server(named("a"));
  const auto config = [&](const char* listens) {
    return unwatched()
        .set("runtime.supervisor", "on")
        .raw("proxy.listen_address", listens)
        .backend("a", server.address());
  };
  Balancer balancer(config("[\"127.0.0.1:0\", \"127.0.0.2:0\"]"), kSupervised);
  const auto dropped = balancer.address(1);
  CHECK(Socket::connect(dropped).receiveLine() == "a");
  reload(balancer, config("\"127.0.0.1:0\""));
  CHECK(eventually([&] { return isRefused(dropped); }));
  CHECK(balancer.ask() == "a");
}

TEST_CASE("No supervisor stands between where the configuration turns it off", "[supervisor]") {
  Server server(named("a"));
  Balancer balancer(Config().set("runtime.supervisor", "off").backend("a", server.address()), kSupervised);
  CHECK(servingPid(balancer) == balancer.process().pid());
  CHECK(balancer.status()->isNull("supervisor"));
}

}  // namespace lemonade::test
