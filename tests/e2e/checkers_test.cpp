// SPDX-License-Identifier: MIT
//
// The shipped checkers against what they are for: web servers, Redis, PostgreSQL and SMTP. The scripts of send_expect
// are those of docs/health-checks.md.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/privilege.h"
#include "support/redis.h"
#include "support/server.h"

#include <signal.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

/// The script below a heading of the page.
std::string documented(const std::string& heading) {
  std::ostringstream page;
  page << std::ifstream(LEMONADE_SOURCE_DIR "/docs/health-checks.md").rdbuf();
  const auto text = page.str();
  const auto at = text.find("### " + heading + "\n");
  const auto begin = text.find("'''", at);
  if (at == std::string::npos || begin == std::string::npos) throw std::runtime_error("no script for " + heading);
  return text.substr(begin, text.find("'''", begin + 3) + 3 - begin);
}

Config checkedBy(const std::string& checker, const std::string& address) {
  return Config()
      .realChecks()
      .set("health.checker", checker)
      .set("health.interval", "50ms")
      .set("health.timeout", "500ms")
      .backend("a", address);
}

Config scripted(const std::string& heading, const std::string& address) {
  return checkedBy("send_expect", address).raw("health.options.script", documented(heading));
}

/// Why the backend is down, once it is.
std::string reasonDown(Balancer& balancer) {
  waitForState(balancer, "a", "down", 20s);
  return reasonOf(balancer, "a");
}

/// Waits for so many checks more; true where the backend is up after them.
bool passes(Balancer& balancer, unsigned checks) {
  const auto before = balancer.metric("lemonade_health_checks_total");
  return eventually([&] { return balancer.metric("lemonade_health_checks_total") >= before + checks; }) &&
         balancer.backend("a")->getValue<std::string>("state") == "up";
}

/// A database cluster of its own. The server refuses to run as root, so it runs as nobody there.
class Postgres {
 public:
  Postgres() : data_((folder_.path() / "data").string()) {
    if (isRoot()) {
      const auto nobody = run({"chown", "nobody", folder_.path().string()});
      if (nobody.code != 0) throw std::runtime_error(nobody.err);
    }
    const auto made =
        run(asNobody({*programs() / "initdb", "-D", data_, "--auth=trust", "-N", "--no-locale"}), {}, 60s);
    if (made.code != 0) throw std::runtime_error(made.out + made.err);
    start();
  }
  std::string address() const { return "127.0.0.1:" + port_; }
  void start() {
    process_.emplace(asNobody({*programs() / "postgres", "-D", data_, "-p", port_, "-c", "listen_addresses=127.0.0.1",
                               "-c", "unix_socket_directories=", "-c", "fsync=off"}));
    process_->waitForLog("database system is ready to accept connections", 30s);
  }
  void stop() {
    process_->signal(SIGINT);
    if (process_->wait(30s) != 0) throw std::runtime_error("postgres did not stop: " + process_->err());
  }
  Process& process() { return *process_; }

  /// Where the server's programs are; nothing where it is not installed.
  static std::optional<fs::path> programs() {
    std::error_code none;
    for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", none))
      if (fs::exists(version.path() / "bin/initdb")) return version.path() / "bin";
    return std::nullopt;
  }

 private:
  static Arguments asNobody(Arguments arguments) {
    if (isRoot())
      arguments.insert(arguments.begin(),
                       {"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL"});
    return arguments;
  }

  TemporaryFolder folder_;
  std::string data_;
  std::string port_ = freePort();
  std::optional<Process> process_;
};

}  // namespace

TEST_CASE("The http checker follows the status of a web server", "[checkers]") {
  std::atomic<int> status{200};
  std::atomic<bool> asked_right{true};
  Server server([&](Socket& client) {
    std::string request;
    for (std::string line; (line = client.receiveLine()) != "\r" && !line.empty();) request += line + "\n";
    if (request.find("GET /ready?x=1 HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n") != 0) asked_right = false;
    // In pieces, as a slow server would.
    client.send("HTTP/1.1 " + std::to_string(status) + " Some");
    client.send("thing\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"st\r\n");
    client.send("d\r\natus\": \"fine\"\r\n1\r\n}\r\n0\r\n\r\n");
    client.finishSending();
    client.receiveAll();
  });
  Balancer balancer(checkedBy("http", server.address())
                        .raw("health.options", "{path = \"/ready?x=1\", host = \"app.example\", body = '\"fine\"'}"));
  CHECK(passes(balancer, 3));
  CHECK(asked_right);
  status = 503;
  CHECK(reasonDown(balancer) == "status 503, expected 200-299");
  status = 201;
  waitForState(balancer, "a", "up", 20s);
}

TEST_CASE("The http checker judges our own worker", "[checkers]") {
  Process worker(lemonade({"worker", "--address", "127.0.0.1:0", "--name", "one"}));
  const auto address = demoBackendOf(worker);
  {
    Balancer balancer(checkedBy("http", address).raw("health.options", "{path = \"/health\", body = '\"ok\"'}"));
    CHECK(passes(balancer, 2));
  }
  Balancer balancer(checkedBy("http", address).raw("health.options", "{path = \"/nothing\"}"));
  CHECK(reasonDown(balancer) == "status 404, expected 200-299");
  worker.signal(SIGTERM);
  CHECK(worker.wait() == 0);
}

TEST_CASE("Options that a checker refuses are named with their line", "[checkers]") {
  const TemporaryFolder folder;
  const auto file =
      folder.write("lemonade.toml",
                   "[health]\nchecker = \"send_expect\"\n[health.options]\nscript = '''\nexpct \"a\"\n'''\n"
                   "[[backends]]\naddress = \"127.0.0.1:1\"\n");
  const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
  CHECK(outcome.code != 0);
  INFO(outcome.err);
  CHECK(outcome.err.find("lemonade.toml:4:") != std::string::npos);
  CHECK(outcome.err.find("line 1: \"expct\" is no step") != std::string::npos);
}

TEST_CASE("The documented script follows a real Redis", "[checkers]") {
  Redis redis;
  Balancer balancer(scripted("Redis", redis.address()));
  CHECK(passes(balancer, 3));
  redis.cli({"config", "set", "requirepass", "secret"});
  CHECK(reasonDown(balancer).find("received \"-NOAUTH") == 0);
  redis.cli({"-a", "secret", "config", "set", "requirepass", ""});
  waitForState(balancer, "a", "up", 20s);
  redis.process().signal(SIGSTOP);
  CHECK(reasonDown(balancer).find("timed out waiting for") == 0);
  redis.process().signal(SIGCONT);
  waitForState(balancer, "a", "up", 20s);
}

TEST_CASE("The documented scripts follow a real PostgreSQL", "[checkers]") {
  if (!Postgres::programs()) return skip("PostgreSQL is not installed");
  if (isRoot() && !installed("setpriv")) return skip("there is no setpriv to run PostgreSQL with");
  Postgres postgres;
  for (const std::string heading : {"PostgreSQL", "PostgreSQL, quietly"}) {
    INFO(heading);
    Balancer balancer(scripted(heading, postgres.address()));
    CHECK(passes(balancer, 3));
    postgres.process().signal(SIGSTOP);
    CHECK(reasonDown(balancer).find("timed out waiting for") == 0);
    postgres.process().signal(SIGCONT);
    waitForState(balancer, "a", "up", 20s);
    postgres.stop();
    waitForState(balancer, "a", "down", 20s);
    postgres.start();
    waitForState(balancer, "a", "up", 20s);
  }
  postgres.stop();
}

TEST_CASE("The documented script tells a PostgreSQL that is full", "[checkers]") {
  if (!Postgres::programs()) return skip("PostgreSQL is not installed");
  // What a full server says, word for word.
  constexpr char kFull[] =
      "E\0\0\0\x55SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0Fproc.c\0L361\0RInitProcess\0";
  const std::string full(kFull, sizeof(kFull));  // ends with a zero of its own
  Server server([&](Socket& client) {
    client.receive(21);
    client.send(full);
    client.finishSending();
    client.receiveAll();
  });
  Balancer balancer(scripted("PostgreSQL", server.address()));
  const auto reason = reasonDown(balancer);
  CHECK(reason.find("too many clients") != std::string::npos);
}

TEST_CASE("The documented script talks to an SMTP server", "[checkers]") {
  std::atomic<bool> shy{false};
  std::atomic<unsigned> quits{0};
  Server server([&](Socket& client) {
    if (shy) return client.send("554 no service here\r\n");
    client.send("220-mx.example\r\n22");
    client.send("0 ESMTP\r\n");
    if (client.receiveLine() != "EHLO lemonade\r") return;
    client.send("250-SIZE\r\n250 HELP\r\n");
    if (client.receiveLine() != "QUIT\r") return;
    ++quits;
    client.send("221 bye\r\n");
  });
  Balancer balancer(scripted("SMTP", server.address()));
  CHECK(passes(balancer, 3));
  CHECK(quits >= 3);
  shy = true;
  CHECK(reasonDown(balancer).find("554 no service") != std::string::npos);
}

}  // namespace lemonade::test
