// SPDX-License-Identifier: MIT
//
// What the admin API does on request: a configuration that is validated and not applied, and a log level for a while.
#include "e2e/misfit.h"
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>
#include <string>

namespace lemonade::test {
namespace {

using Poco::JSON::Object;

struct Answer {
  int status = 0;
  Object::Ptr body;
};

/// Sends a file's content; the answer is JSON.
Answer post(Balancer& balancer, const std::string& path, const std::string& body = "", const char* method = "POST") {
  const TemporaryFolder folder;
  const auto file = folder.write("body", body);
  const auto outcome = run({"curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", "-X", method, "--data-binary",
                            "@" + file, "http://" + balancer.adminAddress() + path},
                           {}, 90s);
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  const auto line = outcome.out.rfind('\n');
  return {std::stoi(outcome.out.substr(line + 1)),
          Poco::JSON::Parser().parse(outcome.out.substr(0, line)).extract<Object::Ptr>()};
}

Object::Ptr level(Balancer& balancer) {
  return Poco::JSON::Parser().parse(balancer.admin("/api/v1/log-level").body).extract<Object::Ptr>();
}

}  // namespace

TEST_CASE("A configuration in a request is validated and not applied", "[admin][api]") {
  Server server(named("a"));
  const auto config = unwatched().backend("a", server.address());
  Balancer balancer(config);
  const auto before = generation(balancer);
  const auto valid = post(balancer, "/api/v1/validate", Config(config).set("proxy.retries", 7).text());
  CHECK(valid.status == 200);
  CHECK(valid.body->getValue<bool>("valid"));
  CHECK(valid.body->getValue<std::string>("file") == (balancer.folder().path() / "lemonade.toml").string());
  CHECK(generation(balancer) == before);
  CHECK(contains(balancer.admin("/api/v1/config").body, "\"proxy.retries\": \"2\""));
  const auto line = balancer.process().waitForLog("a change was asked for");
  CHECK(contains(line, "POST /api/v1/validate"));
}

TEST_CASE("What is wrong with it is answered with place and mend as validating a file says it", "[admin][api]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  const std::string text =
      "[proxy]\nmax_conections = 5\nlisten_address = \"127.0.0.1:0\"\n[strategy]\nalgorithm = \"round_robbin\"\n"
      "[[backends]]\naddress = \"127.0.0.1:1\"\n";
  const auto answer = post(balancer, "/api/v1/validate", text);
  CHECK(answer.status == 422);
  CHECK_FALSE(answer.body->getValue<bool>("valid"));
  const auto findings = answer.body->getArray("findings");
  REQUIRE(findings->size() >= 2);
  const auto first = findings->getObject(0);
  CHECK(first->getValue<std::string>("severity") == "error");
  CHECK(first->getValue<int>("line") == 2);
  CHECK(first->getValue<int>("column") == 1);
  CHECK(contains(first->getValue<std::string>("text"), "max_connections"));

  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", text);
  const auto by_hand = run(lemonade({"lb", "--validate", "--json", "--config", file}));
  CHECK(by_hand.code == 1);
  const auto said = Poco::JSON::Parser().parse(by_hand.out).extract<Object::Ptr>()->getArray("findings");
  REQUIRE(said->size() == findings->size());
  for (unsigned i = 0; i < said->size(); ++i)
    CHECK(said->getObject(i)->getValue<std::string>("text") == findings->getObject(i)->getValue<std::string>("text"));
}

TEST_CASE("A plugin of a configuration in a request is tried aside and crashes nobody", "[admin][api]") {
  Server server(named("a"));
  const Misfit misfit;
  const auto config = misfit.config().backend("a", server.address());
  Balancer balancer(config);
  misfit.become("crash_in_pick");
  const auto answer = post(balancer, "/api/v1/validate", config.text());
  CHECK(answer.status == 422);
  CHECK(
      contains(answer.body->getArray("findings")->getObject(0)->getValue<std::string>("text"), "crashed with SIGSEGV"));
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A body that is empty or too large is refused", "[admin][api]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  CHECK(post(balancer, "/api/v1/validate").status == 400);
  CHECK(post(balancer, "/api/v1/validate", std::string((1 << 20) + 1, '#')).status == 413);
}

TEST_CASE("The log level is set for a while and comes back by itself", "[admin][api]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()), {{"LEMONADE_LOG", ""}});
  CHECK(level(balancer)->getValue<std::string>("level") == "info");
  CHECK(level(balancer)->isNull("until"));
  const auto answer = post(balancer, "/api/v1/log-level?level=info,access=debug&for=700ms", "", "PUT");
  CHECK(answer.status == 200);
  CHECK(answer.body->getValue<std::string>("level") == "info,access=debug");
  CHECK(contains(answer.body->getValue<std::string>("until"), "T"));
  CHECK(balancer.ask() == "a");
  CHECK(contains(sessionLine(balancer), "backend=a"));
  (void)balancer.process().waitForLog("the log has its configured level again");
  CHECK(level(balancer)->getValue<std::string>("level") == "info");
  CHECK(level(balancer)->isNull("until"));
}

TEST_CASE("A log level without an end lasts until the next reload", "[admin][api]") {
  Server server(named("a"));
  const auto config = unwatched().backend("a", server.address());
  Balancer balancer(config, {{"LEMONADE_LOG", ""}});
  const auto answer = post(balancer, "/api/v1/log-level?level=warn");
  CHECK(answer.body->getValue<std::string>("until") == "reload");
  CHECK(level(balancer)->getValue<std::string>("configured") == "info");
  (void)reload(balancer, Config(config).set("proxy.retries", 3));
  CHECK(level(balancer)->getValue<std::string>("level") == "info");
}

TEST_CASE("A log level that is none and a parameter that nobody knows are refused with the mend", "[admin][api]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  for (const std::string query :
       {"?level=loud", "", "?level=debug&for=soon", "?level=debug&for=0s", "?level=debug&until=1"}) {
    const auto answer = post(balancer, "/api/v1/log-level" + query, "", "PUT");
    CAPTURE(query);
    CHECK(answer.status == 400);
    CHECK(contains(answer.body->getValue<std::string>("error"), query.empty() ? "level=" : ""));
  }
  CHECK(level(balancer)->isNull("until"));
}

}  // namespace lemonade::test
