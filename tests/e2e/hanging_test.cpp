// SPDX-License-Identifier: MIT
//
// A stop is bounded whatever hangs, and a second signal ends at once: at start, while serving, at the end.
#include "e2e/misfit.h"
#include "e2e/processes.h"
#include "e2e/reloading.h"
#include "support/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <memory>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHangs = "the misfit hangs";

/// What a stop that is bounded by accept_timeout takes at most, and what one at once takes.
constexpr Millis kBound = 700ms;
bool bounded(Millis elapsed) { return elapsed < (kBound + 600ms) * timeFactor(); }
bool atOnce(Millis elapsed) { return elapsed < 1500ms * timeFactor(); }

Config stopping(const Misfit& misfit, Millis bound) {
  return misfit.config()
      .set("plugins.hang_limit", "0s")  // else the hang would be over before long
      .set("runtime.drain_timeout_millis", 0)
      .set("runtime.accept_timeout_millis", static_cast<int>(bound.count()));
}

/// A balancer whose strategy hangs, once it was made to: on the control thread, on a worker.
struct Hung {
  explicit Hung(const std::string& misdeed, Millis bound)
      : server(echo()),
        misfit(misdeed),
        config(stopping(misfit, bound).backend("a", server.address())),
        balancer(config) {
    if (misdeed == "hang_in_later_prepare") {
      write(balancer, Config(config).backend("b", server.address()));
      balancer.process().signal(SIGHUP);
    } else {
      client = balancer.connect();
    }
    balancer.process().waitForLog(kHangs);
  }

  Server server;
  Misfit misfit;
  Config config;
  Balancer balancer;
  Socket client;
};

/// A FIFO for standard error, with a reader that reads only as long as the test wants to.
class UnreadLog {
 public:
  UnreadLog() {
    REQUIRE(::mkfifo(path().c_str(), 0600) == 0);
    fd_ = Fd(::open(path().c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  }
  std::string path() const { return (folder_.path() / "log").string(); }
  Arguments redirected(const Arguments& command) const {
    Arguments words = {"sh", "-c", "exec \"$@\" 2>" + path(), "sh"};
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }
  bool readUntil(const std::string& text) {
    std::string seen;
    return eventually([&] {
      char buffer[4096];
      const auto n = ::read(fd_.get(), buffer, sizeof(buffer));
      if (n > 0) seen.append(buffer, static_cast<std::size_t>(n));
      return contains(seen, text);
    });
  }
  void fill() const {
    const std::string junk(4096, 'x');
    while (::write(fd_.get(), junk.data(), junk.size()) > 0) {
    }
  }

 private:
  TemporaryFolder folder_;
  Fd fd_;
};

}  // namespace

TEST_CASE("A stop is over within accept_timeout though the strategy hangs", "[stopping][relayed]") {
  const char* misdeed = GENERATE("hang_in_later_prepare", "hang_in_pick");
  CAPTURE(misdeed);
  Hung hung(misdeed, kBound);
  const Stopwatch watch;
  CHECK(hung.balancer.stop() == 0);
  CHECK(bounded(watch.elapsed()));
}

TEST_CASE("A plugin that hangs when it is destroyed or when the process exits does not outlast accept_timeout",
          "[control]") {
  const std::string misdeed = GENERATE("hang_in_destroy", "hang_at_exit");
  CAPTURE(misdeed);
  const Misfit misfit(misdeed);
  Balancer balancer(stopping(misfit, kBound).backend("a", "127.0.0.1:1"));
  const Stopwatch watch;
  CHECK(balancer.stop() == 0);
  CHECK(bounded(watch.elapsed()));
  CHECK(balancer.process().countLog(kHangs, 1) == 1);
}

TEST_CASE("What a stop cut short was waiting for is in the log", "[control]") {
  const Misfit misfit("hang_in_destroy");
  Balancer balancer(stopping(misfit, kBound).backend("a", "127.0.0.1:1"));
  CHECK(balancer.stop() == 0);
  const auto line = balancer.process().waitForLog("the stop is cut short");
  CHECK_THAT(field(line, "waited_for"), Catch::Contains("workers, checks, sinks"));
}

TEST_CASE("A second signal ends at once though the strategy hangs", "[control]") {
  const char* misdeed = GENERATE("hang_in_later_prepare", "hang_in_pick", "hang_in_destroy");
  const int second = GENERATE(SIGTERM, SIGINT);
  CAPTURE(misdeed, second);
  const Misfit misfit(misdeed);
  std::unique_ptr<Hung> hung;
  std::unique_ptr<Balancer> alone;
  if (std::string(misdeed) == "hang_in_destroy")
    alone = std::make_unique<Balancer>(stopping(misfit, 60s).backend("a", "127.0.0.1:1"));
  else
    hung = std::make_unique<Hung>(misdeed, 60s);
  auto& process = (hung ? hung->balancer : *alone).process();
  process.signal(SIGTERM);
  if (alone) process.waitForLog(kHangs);
  CHECK(process.wait(300ms) == std::nullopt);
  const Stopwatch watch;
  process.signal(second);
  CHECK(process.wait(10s) == 0);
  CHECK(atOnce(watch.elapsed()));
}

TEST_CASE("A plugin that hangs while it is loaded or created does not hold up the end of a start", "[control]") {
  const char* misdeed = GENERATE("hang_in_load", "hang_in_create", "hang_in_prepare");
  const bool validate = GENERATE(false, true);
  CAPTURE(misdeed, validate);
  const Misfit misfit(misdeed);
  const TemporaryFolder folder, copies;
  const auto file = folder.write(
      "lemonade.toml",
      misfit.config().set("plugins.cache_directory", copies.path().string()).backend("a", "127.0.0.1:1").text());
  Arguments words = {"lb", "--config", file};
  if (validate) words.push_back("--validate");
  Process process(lemonade(words), {{"LEMONADE_PREFLIGHT", "60s"}});
  // A preflight keeps what the child writes to itself.
  if (validate)
    REQUIRE(eventually([&] { return !childrenOf(process.pid()).empty(); }));
  else
    process.waitForLog(kHangs);
  const auto preflights = childrenOf(process.pid());
  const Stopwatch watch;
  process.signal(SIGTERM);
  // Who asked whether it is valid must not take this for a yes.
  CHECK(process.wait(10s) == (validate ? 2 : 0));
  CHECK(atOnce(watch.elapsed()));
  CHECK(process.countLog("stopped before it was ready", 1) == 1);
  CHECK(fs::is_empty(copies.path()));
  for (const auto child : preflights) CHECK(eventually([&] { return hasEnded(child); }));
}

TEST_CASE("A log that nobody reads does not hold up the end of a start", "[control]") {
  UnreadLog log;
  log.fill();
  const TemporaryFolder folder;
  Process process(log.redirected(lemonade({"lb", "--config", folder.write("lemonade.toml", "nonsense = 1\n")})));
  REQUIRE(eventually([&] { return hasThread(process.pid(), "watchdog"); }));
  const Stopwatch watch;
  process.signal(SIGTERM);
  // It may have got to the end before: what is wrong with the file it cannot say, but it knows.
  CHECK(process.wait(10s).has_value());
  CHECK(atOnce(watch.elapsed()));
}

TEST_CASE("A log that nobody reads does not hold up a stop", "[control]") {
  const int signals = GENERATE(1, 2);
  UnreadLog log;
  const TemporaryFolder folder;
  const auto config = Config()
                          .set("runtime.accept_timeout_millis", signals == 1 ? 700 : 60'000)
                          .set("runtime.drain_timeout_millis", 0)
                          .backend("a", "127.0.0.1:1");
  Process process(log.redirected(lemonade({"lb", "--config", folder.write("lemonade.toml", config.text())})));
  REQUIRE(log.readUntil("app: ready"));
  log.fill();
  const Stopwatch watch;
  process.signal(SIGTERM);
  if (signals == 2) {
    CHECK(process.wait(200ms) == std::nullopt);
    process.signal(SIGINT);
  }
  CHECK(process.wait(10s) == 0);
  CHECK(atOnce(watch.elapsed()));
}

TEST_CASE("With the time for a stop at zero the process ends at once", "[control]") {
  Server server(echo());
  Balancer balancer(Config().set("runtime.accept_timeout_millis", 0).backend("a", server.address()));
  Socket client = balancer.connect();
  client.send("x");
  REQUIRE(client.receive(1) == "x");
  const Stopwatch watch;
  CHECK(balancer.stop() == 0);
  CHECK(atOnce(watch.elapsed()));
}

TEST_CASE("A reload changes what bounds the next stop", "[control]") {
  const Misfit misfit("hang_in_destroy");
  const auto config = stopping(misfit, 60s).backend("a", "127.0.0.1:1");
  Balancer balancer(config);
  reload(balancer, Config(config).set("runtime.accept_timeout_millis", static_cast<int>(kBound.count())));
  const Stopwatch watch;
  CHECK(balancer.stop() == 0);
  CHECK(bounded(watch.elapsed()));
}

}  // namespace lemonade::test
