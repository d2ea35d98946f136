// SPDX-License-Identifier: MIT
//
// lemonade doctor: what it tries, what it says of it, and what it exits with.
#include "support/balancer.h"
#include "support/server.h"
#include "support/skip.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>

namespace lemonade::test {
namespace {

/// What the doctor says of a configuration.
class Examined {
 public:
  explicit Examined(const Config& config, Arguments more = {}, Arguments wrapper = {}) {
    const TemporaryFolder folder;
    more.insert(more.begin(), {"doctor", "--config", folder.write("lemonade.toml", config.text())});
    more.insert(more.end(), {"--json", "--timeout", "5s"});
    const auto command = lemonade(more);
    wrapper.insert(wrapper.end(), command.begin(), command.end());
    const auto outcome = run(wrapper);
    INFO(outcome.out << outcome.err);
    code = outcome.code;
    Poco::JSON::Parser parser;
    report_ = parser.parse(outcome.out).extract<Poco::JSON::Object::Ptr>();
    CHECK(report_->getValue<bool>("ok") == (code == 0));
  }

  /// "level: what (where) mend" of each finding of a topic.
  std::string of(const std::string& topic) const {
    std::string text;
    const auto findings = report_->getArray("findings");
    for (unsigned i = 0; i < findings->size(); ++i) {
      const auto finding = findings->getObject(i);
      const auto get = [&](const char* key) { return finding->getValue<std::string>(key); };
      if (get("topic") != topic) continue;
      // What is wrong with the file says itself what to write.
      if (topic != "configuration") CHECK((get("level") == "ok") == get("mend").empty());
      text += get("level") + ": " + get("what") + " (" + get("where") + ") " + get("mend") + "\n";
    }
    return text;
  }
  int problems() const { return report_->getValue<int>("problems"); }

  int code = -1;

 private:
  Poco::JSON::Object::Ptr report_;
};

/// Whose sessions any machine has descriptors for.
Config modest() { return Config().set("health.checker", "tcp").set("proxy.max_connections", 100); }

Config sound(const Server& server) { return modest().backend("a", server.address()); }

}  // namespace

TEST_CASE("The doctor finds no problem where there is none", "[doctor]") {
  Server server(named("a"));
  const Examined examined(sound(server));
  CHECK(examined.code == 0);
  CHECK(examined.problems() == 0);
  CHECK_THAT(examined.of("configuration"), Catch::Contains("ok: ") && Catch::Contains("is valid"));
  CHECK_THAT(examined.of("plugins"), Catch::Contains("ok: ") && Catch::Contains("round_robin"));
  CHECK_THAT(examined.of("descriptors"), Catch::Contains("ok: "));
  CHECK_THAT(examined.of("listeners"), Catch::Contains("ok: "));
  CHECK_THAT(examined.of("ports"), Catch::Contains("ok: ") && Catch::Contains("source ports"));
  CHECK_THAT(examined.of("reach"), Catch::Contains("ok: " + server.address()) && Catch::Contains("(backends.a)"));
  CHECK_THAT(examined.of("checks"), Catch::Contains("ok: tcp of " + server.address() + " passes"));
}

TEST_CASE("The doctor tells a backend that refuses from one that is silent", "[doctor]") {
  RefusingPort dead;
  BlackHole hole;
  const Examined examined(
      modest().set("proxy.connect_timeout", "300ms").backend("dead", dead.address()).backend("silent", hole.address()));
  CHECK(examined.code == 1);
  CHECK_THAT(examined.of("reach"), Catch::Contains("problem: " + dead.address() +
                                                   " cannot be connected to: Connection refused "
                                                   "(backends.dead) start the server"));
  CHECK_THAT(examined.of("reach"), Catch::Contains("problem: " + hole.address()) && Catch::Contains("timed out") &&
                                       Catch::Contains("firewall"));
  CHECK(examined.of("checks").empty());  // which would say the same once more
}

TEST_CASE("A backend that is not enabled is no problem though it is dead", "[doctor]") {
  RefusingPort dead;
  Server server(named("a"));
  const Examined examined(sound(server).backend("dead", dead.address(), "enabled = false"));
  CHECK(examined.code == 0);
  CHECK_THAT(examined.of("reach"), Catch::Contains("warning: " + dead.address()) && Catch::Contains("not enabled"));
}

TEST_CASE("The doctor has each backend checked as configured", "[doctor]") {
  Server sound(http("a"));
  Server broken([](Socket& socket) {
    socket.receiveLine();
    socket.send("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
  });
  const Examined examined(modest()
                              .set("health.checker", "http")
                              .set("health.timeout", "1s")
                              .backend("sound", sound.address())
                              .backend("broken", broken.address()));
  CHECK(examined.code == 1);
  CHECK(examined.problems() == 1);
  CHECK_THAT(examined.of("checks"), Catch::Contains("ok: http of " + sound.address() + " passes"));
  CHECK_THAT(examined.of("checks"), Catch::Contains("problem: http of " + broken.address() + " fails") &&
                                        Catch::Contains("500") && Catch::Contains("(backends.broken)"));
}

TEST_CASE("The doctor names what does not resolve and does not wait for ever", "[doctor]") {
  Server server(named("a"));
  const auto began = std::chrono::steady_clock::now();
  const Examined examined(sound(server).backend("lost", "no-such-host.invalid:80"));
  CHECK(std::chrono::steady_clock::now() - began < 20s);
  CHECK(examined.code == 1);
  CHECK_THAT(examined.of("names"), Catch::Contains("problem: ") && Catch::Contains("no-such-host.invalid") &&
                                       Catch::Contains("(backends.lost)") && Catch::Contains("getent ahosts"));
  CHECK_THAT(examined.of("configuration"), !Catch::Contains("no-such-host"));  // not twice
}

TEST_CASE("The doctor says what a tight limit of descriptors leaves and which would do", "[doctor]") {
  Server server(named("a"));
  const Examined examined(sound(server).set("proxy.max_connections", 5'000), {},
                          {"/usr/bin/prlimit", "--nofile=300:300"});
  if (examined.of("descriptors").starts_with("ok: "))
    return skip("whoever runs this may raise the limit, as a start does");
  CHECK(examined.code == 1);
  CHECK_THAT(examined.of("descriptors"), Catch::Contains("problem: 5000 clients") && Catch::Contains("limit is 300") &&
                                             Catch::Contains("LimitNOFILE="));
}

TEST_CASE("The doctor sees that source ports do not suffice", "[doctor]") {
  Server server(named("a"));
  const auto config = sound(server).set("proxy.max_connections", 200'000);
  CHECK_THAT(Examined(config).of("ports"),
             Catch::Contains("problem: 200000 sessions over 1 addresses of backends are 200000 for each") &&
                 Catch::Contains("add backends"));
}

TEST_CASE("The doctor says who has an address to listen on", "[doctor]") {
  Server other(named("other")), server(named("a"));
  const Examined taken(sound(server).set("proxy.listen_address", other.address()));
  CHECK(taken.code == 1);
  CHECK_THAT(taken.of("listeners"), Catch::Contains("problem: " + other.address() + " is taken by ") &&
                                        Catch::Contains("process " + std::to_string(::getpid())) &&
                                        Catch::Contains("(proxy.listen_address)"));

  Balancer balancer(sound(server));
  const Examined running(sound(server).set("proxy.listen_address", balancer.address()));
  CHECK(running.code == 0);
  CHECK_THAT(running.of("listeners"), Catch::Contains("ok: " + balancer.address() + " is served by a balancer") &&
                                          Catch::Contains(std::to_string(balancer.process().pid())));

  const Examined elsewhere(sound(server).set("proxy.listen_address", "192.0.2.1:8080"));
  CHECK(elsewhere.code == 1);
  CHECK_THAT(elsewhere.of("listeners"), Catch::Contains("problem: 192.0.2.1:8080 cannot be listened on"));
}

TEST_CASE("The doctor listens nowhere and lets no client in", "[doctor]") {
  Server server(named("a"));
  Balancer balancer(sound(server));
  (void)Examined(sound(server).set("proxy.listen_address", balancer.address()));
  CHECK(balancer.ask() == "a");
  CHECK(balancer.metric("lemonade_proxy_accepted_total") == 1);
}

TEST_CASE("Of a configuration that is wrong the doctor tells what is wrong and tries nothing", "[doctor]") {
  Server server(named("a"));
  const Examined examined(sound(server).set("strategy.algorithm", "nobody"));
  CHECK(examined.code == 1);
  CHECK_THAT(examined.of("configuration"), Catch::Contains("problem: ") && Catch::Contains("nobody"));
  CHECK(examined.of("reach").empty());
  CHECK(server.accepted() == 0);
}

TEST_CASE("The doctor's text is for people and has no colours where nobody sees them", "[doctor]") {
  RefusingPort dead;
  const TemporaryFolder folder;
  const auto outcome =
      run(lemonade({"doctor", "--config", folder.write("lb.toml", modest().backend("dead", dead.address()).text())}));
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.out, Catch::Contains("problem  reach         " + dead.address()) &&
                              Catch::Contains("mend: start the server") && Catch::Contains("1 problem, "));
  CHECK_THAT(outcome.out, !Catch::Contains("\x1b"));
}

TEST_CASE("Wrong usage of the doctor is told from a problem", "[doctor]") {
  CHECK(run(lemonade({"doctor", "--nonsense"})).code == 2);
  const auto outcome = run(lemonade({"doctor", "--timeout", "soon"}));
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("soon"));
  CHECK(run(lemonade({"doctor", "--help"})).code == 0);
}

}  // namespace lemonade::test
