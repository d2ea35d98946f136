// SPDX-License-Identifier: MIT
//
// The log as JSON: what is a number is one, whoever wrote the line.
#include "support/balancer.h"
#include "support/server.h"

#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <signal.h>

#include <catch2/catch.hpp>
#include <sstream>

namespace lemonade::test {
namespace {

/// A balancer whose log is JSON, which class Balancer does not read.
struct JsonLog {
  explicit JsonLog(const Config& config)
      : process(lemonade({"lb", "--config", folder.write("lemonade.toml", config.text())}),
                {{"LEMONADE_LOG", "info,access=debug"}, {"LEMONADE_LOG_FORMAT", "json"}}) {
    process.waitForLog("\"message\":\"ready\"");
  }

  Poco::JSON::Object::Ptr line(const std::string& text) {
    return Poco::JSON::Parser().parse(process.waitForLog(text)).extract<Poco::JSON::Object::Ptr>();
  }

  TemporaryFolder folder;
  Process process;
};

bool isNumber(const Poco::JSON::Object::Ptr& line, const std::string& name) { return line->get(name).isNumeric(); }

}  // namespace

TEST_CASE("A JSON log has numbers as numbers and the fields of the log sink as members", "[log]") {
  Server server(echo());
  JsonLog log(
      Config().set("metrics.interval", "100ms").raw("metrics.sinks", R"(["log"])").backend("7", server.address()));
  CHECK(isNumber(log.line("\"message\":\"ready\""), "backends"));
  {
    auto client = Socket::connect(
        log.line("\"component\":\"proxy\",\"message\":\"listening\"")->getValue<std::string>("address"));
    client.send("ask");
    CHECK(client.receive(3) == "ask");
  }
  const auto closed = log.line("session closed");
  CHECK(closed->get("backend").isString());
  CHECK(closed->getValue<int>("bytes_in") == 3);
  for (const auto* name :
       {"attempts", "bytes_in", "bytes_out", "exchanges", "connect_ms", "slowest_exchange_ms", "duration_ms"})
    CHECK((isNumber(closed, name) && closed->has(name)));

  const auto total = log.line("\"component\":\"log\",\"message\":\"total\"");
  for (const auto* name : {"backends", "up", "active", "sessions", "exchanges_per_second", "errors"})
    CHECK((total->has(name) && isNumber(total, name)));
  const auto row = log.line("\"component\":\"log\",\"message\":\"\",\"pool\":\"default\",\"backend\":\"7\"");
  CHECK(row->getValue<std::string>("address") == server.address());
  CHECK(row->getValue<std::string>("state") == "up");
  for (const auto* name : {"active", "sessions", "exchanges_per_second", "errors"})
    CHECK((row->has(name) && isNumber(row, name)));
  log.process.signal(SIGTERM);
  CHECK(log.process.wait() == 0);
}

TEST_CASE("A text log has the lines of the log sink as they always were", "[log]") {
  Server server(echo());
  Balancer balancer(
      Config().set("metrics.interval", "100ms").raw("metrics.sinks", R"(["log"])").backend("7", server.address()));
  auto client = balancer.connect();
  client.send("ask");
  CHECK(client.receive(3) == "ask");
  CHECK_THAT(balancer.process().waitForLog("INFO log: total backends=1 up=1 active=1 sessions="),
             Catch::Contains(" errors=0"));
  CHECK_THAT(balancer.process().waitForLog("INFO log: pool=default backend=7 address=" + server.address() +
                                           " state=up active=1 sessions="),
             Catch::Contains(" exchanges_per_second="));
}

TEST_CASE("The log sink counts clients that no backend took as errors", "[log]") {
  RefusingPort dead;
  Balancer balancer(Config()
                        .realChecks()
                        .set("metrics.interval", "100ms")
                        .raw("metrics.sinks", R"(["log"])")
                        .backend("a", dead.address()));
  balancer.process().waitForLog("no backend is left");
  const auto from = balancer.process().logSize();
  for (int i = 0; i < 3; ++i) CHECK(balancer.ask().empty());
  int errors = 0;
  CHECK(eventually([&] {
    errors = 0;
    std::istringstream lines(balancer.process().err());
    std::size_t number = 0;
    for (std::string line; std::getline(lines, line);)
      if (number++ >= from && line.find("INFO log: total ") != std::string::npos)
        errors += std::stoi(field(line, "errors"));
    return errors == 3;
  }));
}

}  // namespace lemonade::test
