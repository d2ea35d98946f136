// SPDX-License-Identifier: MIT
//
// Signals that ask for nothing, what children inherit, and descriptors that the caller left closed.
#include "e2e/misfit.h"
#include "e2e/processes.h"
#include "e2e/reloading.h"
#include "support/facts.h"
#include "support/server.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <future>
#include <sstream>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

/// Runs a command with some of its first descriptors closed, such as "<&- >&-".
Arguments without(const std::string& closed, const Arguments& command) {
  Arguments words = {"sh", "-c", "exec \"$@\" " + closed, "sh"};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

std::string freeAddress() {
  Server server(echo());
  return server.address();
}

}  // namespace

TEST_CASE("A signal that nobody means for the balancer is logged and ends nothing", "[control]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()));
  const std::pair<int, const char*> signals[] = {
      {SIGUSR2, "SIGUSR2"}, {SIGALRM, "SIGALRM"},     {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"},
      {SIGPWR, "SIGPWR"},   {SIGSTKFLT, "SIGSTKFLT"}, {SIGRTMIN, "SIGRTMIN+0"}, {SIGRTMAX, "SIGRTMIN+30"}};
  for (const auto& [signal, name] : signals) {
    balancer.process().signal(signal);
    const auto line = balancer.process().waitForLog(std::string("signal=") + name);
    CHECK_THAT(line, Catch::Contains(signal == SIGUSR2 ? "an upgrade is asked of the supervisor" : "does nothing"));
  }
  balancer.process().signal(SIGIO);
  balancer.process().signal(SIGXFSZ);
  CHECK(balancer.ask() == "a");
  CHECK(balancer.process().wait(100ms) == std::nullopt);
}

TEST_CASE("A worker ends on every signal that stops and survives those that ask for nothing", "[control]") {
  const int stop = GENERATE(SIGTERM, SIGINT, SIGQUIT, SIGHUP);
  CAPTURE(stop);
  Process worker(lemonade({"worker", "--address", "127.0.0.1:0"}));
  (void)demoBackendOf(worker);
  worker.signal(SIGUSR1);
  worker.waitForLog("signal=SIGUSR1");
  worker.signal(stop);
  CHECK(worker.wait(10s) == 0);
}

TEST_CASE("A SIGHUP that comes before the balancer is ready reloads when it is", "[control]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", Config().backend("a", server.address()).text());
  Process process(lemonade({"lb", "--config", file}));
  REQUIRE(eventually([&] { return hasThread(process.pid(), "watchdog"); }));
  process.signal(SIGHUP);
  waitUntilReady(process);
  process.waitForLog("reason=SIGHUP");
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

TEST_CASE("The child of a preflight has no signal blocked or ignored and no descriptor of ours", "[control]") {
  const Misfit misfit;
  Balancer balancer(misfit.config().backend("a", "127.0.0.1:1"), {{"LEMONADE_PREFLIGHT", "2s"}});
  misfit.become("hang_in_create");
  auto answer = std::async(std::launch::async, [&] { return reloadNow(balancer).status; });
  pid_t child = 0;
  const auto mapped = [&] {
    const auto children = childrenOf(balancer.process().pid());
    if (children.empty()) return false;
    child = children[0];
    std::ifstream maps("/proc/" + std::to_string(child) + "/maps");
    std::stringstream text;
    text << maps.rdbuf();
    return contains(text.str(), "memfd:com.example.misfit");
  };
  REQUIRE(eventually(mapped));
  CHECK(statusOf(child, "SigBlk") == "0000000000000000");
  // Two that the C library keeps for itself nobody can set.
  CHECK((std::stoull(statusOf(child, "SigIgn"), nullptr, 16) & ~0x1'8000'0000ULL) == 0);
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(child) + "/fd")) {
    std::error_code gone;  // the child may close what it has just looked through
    const auto target = fs::read_symlink(entry.path(), gone).string();
    CAPTURE(entry.path().string(), target);
    CHECK(!target.starts_with("socket:"));
    CHECK(!contains(target, "lemonade-plugins"));
  }
  CHECK(answer.get() == 422);
}

TEST_CASE("Descriptors that are closed at the start of the balancer are opened on /dev/null", "[control]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", Config().backend("a", server.address()).text());
  Process process(without("<&- >&-", lemonade({"lb", "--config", file})));
  const auto address = listenerOf(process);
  waitUntilReady(process);
  CHECK(descriptorOf(process.pid(), 0) == "/dev/null");
  CHECK(descriptorOf(process.pid(), 1) == "/dev/null");
  CHECK(Socket::connect(address).receiveLine() == "a");
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

TEST_CASE("A client never gets the log where standard error was closed at the start", "[control]") {
  Server server(echo());
  const TemporaryFolder folder;
  const auto address = freeAddress();
  const auto file = folder.write("lemonade.toml",
                                 Config().set("proxy.listen_address", address).backend("a", server.address()).text());
  Process process(without("<&- >&- 2>&-", lemonade({"lb", "--config", file})), {{"LEMONADE_LOG", "debug"}});
  const auto answer = [&] {
    try {
      Socket client = Socket::connect(address);
      client.send("hello");
      client.finishSending();
      return client.receiveAll();
    } catch (const std::exception&) {
      return std::string();
    }
  };
  REQUIRE(eventually([&] { return !answer().empty(); }));
  CHECK(answer() == "hello");
  for (int fd = 0; fd <= 2; ++fd) CHECK(descriptorOf(process.pid(), fd) == "/dev/null");
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

TEST_CASE("Descriptors that are closed at the start of a worker are opened on /dev/null", "[control]") {
  const auto address = freeAddress();
  Process process(without("<&- >&- 2>&-", lemonade({"worker", "--address", address})));
  REQUIRE(eventually([&] {
    try {
      return httpGet(address, "/health").status == 200;
    } catch (const std::exception&) {
      return false;
    }
  }));
  for (int fd = 0; fd <= 2; ++fd) CHECK(descriptorOf(process.pid(), fd) == "/dev/null");
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

}  // namespace lemonade::test
