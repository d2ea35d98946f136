// SPDX-License-Identifier: MIT
//
// The access log as an operator runs it: files that are moved, reloads, supervisors, servers of syslog, and real
// clients.
#include "e2e/access_logged.h"
#include "e2e/supervised.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"
#include "support/skip.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <future>
#include <regex>
#include <string>
#include <thread>
#include <vector>

namespace fs = std::filesystem;

namespace lemonade::test {
namespace {

/// Clients that come one after the other, in a few threads, until they are told to stop.
class Visitors {
 public:
  Visitors(Balancer& balancer, int threads) {
    const auto address = balancer.address();
    for (int i = 0; i < threads; ++i)
      threads_.emplace_back([this, address] {
        while (!done_) {
          Socket client = Socket::connect(address);
          client.finishSending();
          (void)client.receiveAll();
          ++served_;
        }
      });
  }
  ~Visitors() { stop(); }
  Visitors(const Visitors&) = delete;
  Visitors& operator=(const Visitors&) = delete;

  std::size_t served() const { return served_; }
  /// Waits until each has been served; how many were.
  std::size_t stop() {
    done_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    return served_;
  }

 private:
  std::atomic<bool> done_{false};
  std::atomic<std::size_t> served_{0};
  std::vector<std::thread> threads_;
};

/// A server of syslog on a Unix socket.
class SyslogServer {
 public:
  explicit SyslogServer(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  }
  std::string next() const {
    pollfd readable{fd_.get(), POLLIN, 0};
    REQUIRE(::poll(&readable, 1, 10'000) == 1);
    char bytes[65'536];
    const auto size = ::recv(fd_.get(), bytes, sizeof(bytes), 0);
    return std::string(bytes, static_cast<std::size_t>(size));
  }

 private:
  const Fd fd_;
};

std::size_t linesAt(const std::string& path) { return AccessLogFile::linesOf(path).size(); }

}  // namespace

TEST_CASE("A log that was moved goes on in a new file after SIGUSR1 and no line is lost", "[access_log]") {
  Server server(named("a"));
  const AccessLogFile file;
  Balancer balancer(logged(Config(), file, "{client}").backend("a", server.address()));
  Visitors visitors(balancer, 2);
  std::size_t moved = 0;
  for (int i = 0; i < 5; ++i) {
    REQUIRE(eventually([&] { return file.lines().size() >= 50; }));
    const auto away = file.path() + "." + std::to_string(i);
    fs::rename(file.path(), away);
    const auto log = balancer.process().logSize();
    balancer.process().signal(SIGUSR1);
    const auto line = balancer.process().waitForLog("sinks that opened their files anew: 1", 10s, log);
    CHECK_THAT(line, Catch::Contains("reason=SIGUSR1"));
    REQUIRE(fs::exists(file.path()));
    moved += linesAt(away);
  }
  const auto served = visitors.stop();
  CHECK(moved >= 250);
  CHECK(eventually([&] { return moved + file.lines().size() == served; }));
}

TEST_CASE("The admin listener has sinks open their files anew and says what became of it", "[access_log]") {
  Server server(named("a"));
  const AccessLogFile file;
  Balancer balancer(logged(Config(), file, "{client}").backend("a", server.address()));
  const auto reopen = [&] { return httpGet(balancer.adminAddress(), "/api/v1/reopen", "POST"); };
  CHECK(balancer.ask() == "a");
  (void)file.await(1);
  fs::rename(file.path(), file.path() + ".1");
  auto answer = reopen();
  CHECK(answer.status == 200);
  CHECK(answer.body == "sinks that opened their files anew: 1\n");
  CHECK(fs::exists(file.path()));

  fs::remove(file.path());
  fs::create_directory(file.path());
  answer = reopen();
  CHECK(answer.status == 500);
  CHECK_THAT(answer.body, Catch::Contains("metrics sink access_log: cannot open " + file.path() + ": Is a directory"));
  fs::remove(file.path());
  CHECK(reopen().status == 200);
  CHECK(balancer.ask() == "a");
  CHECK(file.await(1).size() == 1);
  CHECK(httpGet(balancer.adminAddress(), "/api/v1/reopen").status == 405);
}

TEST_CASE("A SIGUSR1 without a sink that has a file is no harm", "[access_log]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()));
  balancer.process().signal(SIGUSR1);
  balancer.process().waitForLog("no sink writes to a file that could be opened anew");
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A SIGUSR1 to the supervisor reaches the processes that serve and that drain", "[access_log]") {
  Server server(echo());
  const AccessLogFile file;
  Balancer balancer(
      logged(supervised(), file, "{client}").set("runtime.drain_timeout_millis", 60'000).backend("a", server.address()),
      kSupervised);
  auto before = servedOnce(balancer);
  const auto pid = servingPid(balancer);
  balancer.process().signal(SIGUSR2);
  (void)awaitOther(balancer, pid);
  auto after = servedOnce(balancer);
  fs::rename(file.path(), file.path() + ".1");
  balancer.process().signal(SIGUSR1);
  REQUIRE(eventually([&] { return balancer.process().countLog("sinks that opened their files anew: 1") == 2; }));
  before.close();
  after.close();
  CHECK(file.await(2).size() == 2);
  CHECK(linesAt(file.path() + ".1") == 0);
}

TEST_CASE("Forty reloads of the log under load lose no line", "[access_log]") {
  Server server(named("a"));
  const AccessLogFile file;
  const auto config = [&](int i) {
    return logged(unwatched(), file, "{client} " + std::to_string(i)).backend("a", server.address());
  };
  Balancer balancer(config(0));
  Visitors visitors(balancer, 3);
  for (int i = 1; i <= 40; ++i) reload(balancer, config(i));
  const auto served = visitors.stop();
  CHECK(served > 200);
  CHECK(eventually([&] { return file.lines().size() == served; }));
  CHECK(balancer.metric("lemonade_session_records_dropped_total") == 0);
  CHECK(balancer.metric("lemonade_proxy_accepted_total") == static_cast<double>(served));
  const std::regex whole(R"(127\.0\.0\.1:\d+ \d+)");
  for (const auto& line : file.lines())
    if (!std::regex_match(line, whole)) FAIL(line);
}

TEST_CASE("A sink that a reload takes out and brings back writes what ended while it was there", "[access_log]") {
  Server server(named("a"));
  const AccessLogFile file;
  const auto without = unwatched().backend("a", server.address());
  const auto with = logged(unwatched(), file, "{client}").backend("a", server.address());
  Balancer balancer(with);
  REQUIRE(balancer.ask() == "a");
  (void)file.await(1);
  reload(balancer, without);
  REQUIRE(balancer.ask() == "a");
  REQUIRE(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
  reload(balancer, with);
  REQUIRE(balancer.ask() == "a");
  (void)file.await(2);
  CHECK(balancer.stop() == 0);
  CHECK(file.lines().size() == 2);
}

TEST_CASE("An access log that cannot be written is refused with what is wrong", "[access_log]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  const auto refused = [&](const std::string& options) {
    write(balancer, loggedBy(unwatched(), options).backend("a", server.address()));
    const auto answer = requestReload(balancer);
    CHECK(answer.status == 422);
    return answer.body;
  };
  CHECK_THAT(refused(R"(to = "/nonexistent/a.log")"), Catch::Contains("cannot open /nonexistent/a.log"));
  CHECK_THAT(refused(R"(format = "{cliemt}")"), Catch::Contains("there is no field {cliemt}"));
  CHECK_THAT(refused("sample = 2.0"), Catch::Contains("sample"));
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A disk that is full is logged once and costs lines only", "[access_log]") {
  Server server(named("a"));
  Balancer balancer(loggedBy(Config(), "to = \"/dev/full\"").backend("a", server.address()));
  for (int i = 0; i < 5; ++i) {
    CHECK(balancer.ask() == "a");
    REQUIRE(eventually(
        [&] { return balancer.metric("lemonade_plugin_access_log_lines_lost_total") == static_cast<double>(i + 1); }));
  }
  CHECK(balancer.process().countLog("cannot write to /dev/full: No space left on device", 1) == 1);
  CHECK(balancer.metric("lemonade_sink_errors_total", {"sink=\"access_log\""}) == 5);
}

TEST_CASE("A syslog server gets each session", "[access_log]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto path = (folder.path() / "log").string();
  const SyslogServer syslog(path);
  Balancer balancer(
      loggedBy(Config(), "to = \"syslog:unix:" + path + "\", format = \"{backend} {reason}\", facility = \"local0\"")
          .backend("a", server.address()));
  CHECK(balancer.ask() == "a");
  const std::regex expected(R"(<134>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ lemonade \d+ session - a done)");
  const auto message = syslog.next();
  CAPTURE(message);
  CHECK(std::regex_match(message, expected));
}

TEST_CASE("Standard error gets lines between those of the log", "[access_log]") {
  Server server(named("a"));
  Balancer balancer(
      loggedBy(Config(), "to = \"stderr\", format = \"session of {client}\"").backend("a", server.address()));
  Socket client = balancer.connect();
  const auto address = client.localAddress();
  CHECK(client.receiveLine() == "a");
  client.close();
  CHECK(balancer.process().waitForLog("session of ") == "session of " + address);
}

TEST_CASE("What curl asks for is a line that Python reads", "[access_log]") {
  if (!installed("curl") || !installed("python3")) skip("curl and python3 are not installed");
  Server server(http("a"));
  const AccessLogFile file;
  Balancer balancer(logged(Config(), file).backend("a", server.address()));
  for (int i = 0; i < 3; ++i) {
    const auto asked = run({"curl", "-sS", "--max-time", "10", "http://" + balancer.address() + "/"});
    REQUIRE(asked.code == 0);
    CHECK(asked.out == "a");
  }
  (void)file.await(3);
  const auto read = run({"python3", "-c", R"(
import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    record = json.loads(line)
    print(record["backend"], record["reason"], record["exchanges"], record["bytes_out"] > 0, record["error"]))",
                         file.path()});
  CAPTURE(read.err);
  CHECK(read.out == "a done 1 True False\na done 1 True False\na done 1 True False\n");
}

}  // namespace lemonade::test
