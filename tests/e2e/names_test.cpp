// SPDX-License-Identifier: MIT
//
// Names of backends: a small name server of the test answers on 127.0.0.1:53 of a network of its own, which the
// balancer finds through an /etc/resolv.conf of its own. Needs root.
#include "support/balancer.h"
#include "support/dns.h"
#include "support/privilege.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>
#include <signal.h>

#include <catch2/catch.hpp>
#include <future>
#include <map>
#include <mutex>

namespace lemonade::test {
namespace {

constexpr const char* kName = "app.example";

/// Runs the balancer with a resolv.conf and a hosts file of its own.
Arguments withResolver(const TemporaryFolder& folder, const std::string& server = "127.0.0.1") {
  const auto conf = folder.write("resolv.conf", "nameserver " + server + "\n");
  const auto hosts = folder.write("hosts", "127.0.0.1 localhost\n127.0.0.1 listed.example\n");
  const auto nss = folder.write("nsswitch.conf", "hosts: files dns\n");
  return {"unshare",
          "-m",
          "--propagation",
          "private",
          "sh",
          "-c",
          "mount --bind " + conf + " /etc/resolv.conf && mount --bind " + hosts + " /etc/hosts && mount --bind " + nss +
              " /etc/nsswitch.conf && exec \"$@\"",
          "sh"};
}

/// True where what these tests do to the system is possible.
bool possible() {
  if (!isRoot() || !installed("unshare")) return false;
  const TemporaryFolder folder;
  auto command = withResolver(folder);
  command.push_back("true");
  return run(command).code == 0;
}

/// Servers on one port of 127.0.0.1, .2 and .3 that greet with their address.
struct Servers {
  Server a{named("1")};
  std::string port = std::to_string(portOf(a.address()));
  Server b{named("2"), "127.0.0.2:" + port};
  Server c{named("3"), "127.0.0.3:" + port};
};

/// Who answers eight connections, sorted, each once.
std::string whoAnswers(Balancer& balancer) {
  std::map<std::string, int> names;
  for (int i = 0; i < 8; ++i) ++names[balancer.ask()];
  std::string all;
  for (const auto& [name, times] : names) all += name;
  return all;
}

Config quick() { return Config().set("proxy.resolve_interval", "100ms"); }

Config byName(const Servers& servers) { return quick().backend("app", "app.example:" + servers.port); }

Config byService() { return quick().backend("app", "srv:_http._tcp.example"); }

/// Of each backend in the status "address state priority/weight".
std::vector<std::string> rows(Balancer& balancer) {
  std::vector<std::string> all;
  const auto backends = balancer.status()->getArray("backends");
  for (unsigned i = 0; i < backends->size(); ++i) {
    const auto one = backends->getObject(i);
    all.push_back(one->getValue<std::string>("address") + " " + one->getValue<std::string>("state") + " " +
                  one->getValue<std::string>("priority") + "/" + one->getValue<std::string>("weight"));
  }
  return all;
}

/// How long the next reload took, in milliseconds.
int reload(Balancer& balancer, const Config& config) {
  const auto from = balancer.process().logSize();
  balancer.folder().write("lemonade.toml", config.text());
  balancer.process().signal(SIGHUP);
  return std::stoi(field(balancer.process().waitForLog("config: reloaded", 10s, from), "took_ms"));
}

}  // namespace

TEST_CASE("Addresses of a name become backends and come and go with it", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.addresses(kName, {"127.0.0.1", "127.0.0.2"});
    const TemporaryFolder folder;
    Balancer balancer(byName(servers), {}, withResolver(folder));
    CHECK(whoAnswers(balancer) == "12");
    auto client = balancer.connect();
    REQUIRE_FALSE(client.receiveLine().empty());

    dns.addresses(kName, {"127.0.0.3", "127.0.0.2"});
    CHECK(eventually([&] { return whoAnswers(balancer) == "23"; }));
    // A session on an address that left goes on.
    CHECK(client.staysOpen(50ms));

    // The same addresses in another order are no change.
    const auto asked = dns.asked(kName, Dns::kA);
    dns.addresses(kName, {"127.0.0.2", "127.0.0.3"});
    REQUIRE(eventually([&] { return dns.asked(kName, Dns::kA) >= asked + 3; }));
    CHECK(balancer.process().countLog("resolve: a name has new addresses", 1) == 1);
  });
}

TEST_CASE("A name that fails keeps its last good addresses and is complained about once", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  const int code = GENERATE(Dns::kServfail, Dns::kNxdomain);
  inOwnNetwork([code] {
    Dns dns;
    Servers servers;
    dns.addresses(kName, {"127.0.0.1", "127.0.0.3"});
    const TemporaryFolder folder;
    Balancer balancer(byName(servers), {}, withResolver(folder));
    CHECK(whoAnswers(balancer) == "13");
    dns.fail(kName, code);
    const auto line = balancer.process().waitForLog("resolve: a name does not resolve");
    CHECK(field(line, "name") == "app.example");
    CHECK(field(line, "in_use") == "127.0.0.1,127.0.0.3");
    const auto asked = dns.asked(kName, Dns::kA);
    REQUIRE(eventually([&] { return dns.asked(kName, Dns::kA) >= asked + 3; }));
    CHECK(whoAnswers(balancer) == "13");
    CHECK(balancer.process().countLog("resolve: a name does not resolve", 1) == 1);
    dns.addresses(kName, {"127.0.0.1", "127.0.0.3"});
    balancer.process().waitForLog("resolve: a name resolves again");
    dns.addresses(kName, {"127.0.0.2"});
    CHECK(eventually([&] { return whoAnswers(balancer) == "2"; }));
  });
}

TEST_CASE("A name that resolves late brings its backends up", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.fail(kName, Dns::kServfail);
    const TemporaryFolder folder;
    Balancer balancer(byName(servers), {}, withResolver(folder));
    CHECK(balancer.backend("app")->getValue<std::string>("state") == "unresolved");
    dns.addresses(kName, {"127.0.0.1", "127.0.0.2", "127.0.0.3"});
    CHECK(eventually([&] { return whoAnswers(balancer) == "123"; }));
  });
}

TEST_CASE("A reload changes how often names are resolved", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.addresses(kName, {"127.0.0.1"});
    const TemporaryFolder folder;
    Balancer balancer(byName(servers).set("proxy.resolve_interval", "1h"), {}, withResolver(folder));
    const auto asked = dns.asked(kName, Dns::kA);
    balancer.folder().write("lemonade.toml", byName(servers).text());
    balancer.process().signal(SIGHUP);
    CHECK(eventually([&] { return dns.asked(kName, Dns::kA) >= asked + 5; }));
  });
}

TEST_CASE("Forty names whose server is silent hold up neither a start nor a reload", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    Config config = quick();
    for (int i = 0; i < 40; ++i) {
      const auto name = "silent-" + std::to_string(i) + ".example";
      dns.silence(name);
      config.backend(name, name + ":" + servers.port);
    }
    config.backend("listed", "listed.example:" + servers.port);
    const TemporaryFolder folder;
    const Stopwatch watch;
    Balancer balancer(config, {}, withResolver(folder));
    CHECK(watch.elapsed() < 2s * timeFactor());  // 0.3 s of it for the names
    CHECK(whoAnswers(balancer) == "1");
    CHECK_THAT(balancer.process().err(), Catch::Contains("name \"silent-39.example\" has not resolved within 300 ms"));

    // Names that are known to be silent are not waited for again, nor are those that are known.
    CHECK(reload(balancer, config.set("health.interval", "7s")) < 400 * timeFactor());
    dns.silence("late.example");
    CHECK(reload(balancer, config.backend("late", "late.example:" + servers.port)) < 900 * timeFactor());
    CHECK(whoAnswers(balancer) == "1");
    const auto line = balancer.process().waitForLog("resolve: a name does not resolve name=silent-0.example");
    CHECK_THAT(line, Catch::Contains("no name server answers (127.0.0.1)"));

    dns.addresses("late.example", {"127.0.0.2"});
    CHECK(eventually([&] { return whoAnswers(balancer) == "12"; }));
  });
}

TEST_CASE("A reload keeps the addresses of names whose server has become silent", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.addresses(kName, {"127.0.0.1", "127.0.0.2"});
    const TemporaryFolder folder;
    auto config = byName(servers);
    Balancer balancer(config, {}, withResolver(folder));
    dns.silence(kName);
    CHECK(reload(balancer, config.set("health.interval", "7s")) < 400 * timeFactor());
    CHECK(whoAnswers(balancer) == "12");
    CHECK(balancer.process().countLog("has not resolved") == 0);
  });
}

TEST_CASE("A reload asks for the names at once, however long the interval", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.addresses(kName, {"127.0.0.1"});
    const TemporaryFolder folder;
    auto config = byName(servers).set("proxy.resolve_interval", "1h");
    Balancer balancer(config, {}, withResolver(folder));
    dns.addresses(kName, {"127.0.0.2"});
    reload(balancer, config.set("health.interval", "7s"));
    CHECK(eventually([&] { return whoAnswers(balancer) == "2"; }));
  });
}

TEST_CASE("Name servers that resolv.conf gets while the balancer runs are asked", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.addresses(kName, {"127.0.0.3"});
    const TemporaryFolder folder;
    Balancer balancer(byName(servers), {}, withResolver(folder, "127.0.0.9"));
    CHECK(balancer.backend("app")->getValue<std::string>("state") == "unresolved");
    folder.write("resolv.conf", "nameserver 127.0.0.1\n");
    CHECK(eventually([&] { return whoAnswers(balancer) == "3"; }));
  });
}

TEST_CASE("Addresses of a family without a route are left out, said once, and come in with the route", "[names]") {
  if (!possible() || !installed("ip")) return skip("it takes root, mount namespaces and ip");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.addresses(kName, {"127.0.0.2", "2001:db8::2"});
    const TemporaryFolder folder;
    Balancer balancer(byName(servers).realChecks(), {}, withResolver(folder));
    CHECK(rows(balancer) == std::vector<std::string>{"127.0.0.2:" + servers.port + " up 0/1"});
    CHECK_THAT(balancer.process().err(),
               Catch::Contains("not used are 1 IPv6 address, to which this machine has no route"));
    const auto asked = dns.asked(kName, Dns::kAaaa);
    REQUIRE(eventually([&] { return dns.asked(kName, Dns::kAaaa) >= asked + 3; }));
    CHECK(balancer.process().countLog("no route", 1) == 1);

    if (run({"ip", "addr", "add", "2001:db8::2/128", "dev", "lo", "nodad"}).code != 0) return skip("it takes IPv6");
    CHECK(eventually([&] { return rows(balancer).size() == 2; }));
    REQUIRE(run({"ip", "addr", "del", "2001:db8::2/128", "dev", "lo"}).code == 0);
    CHECK(eventually([&] { return rows(balancer).size() == 1; }));
  });
}

TEST_CASE("A family that fails keeps its addresses while the other one changes", "[names]") {
  if (!possible() || !installed("ip")) return skip("it takes root, mount namespaces and ip");
  inOwnNetwork([] {
    if (run({"ip", "addr", "add", "2001:db8::2/128", "dev", "lo", "nodad"}).code != 0) return skip("it takes IPv6");
    Dns dns;
    Servers servers;
    dns.addresses(kName, {"127.0.0.1", "2001:db8::2"});
    const TemporaryFolder folder;
    Balancer balancer(byName(servers), {}, withResolver(folder));
    REQUIRE(rows(balancer).size() == 2);
    dns.addresses(kName, {"127.0.0.2"});
    dns.fail(kName, Dns::kAaaa, Dns::kServfail);
    const auto line = balancer.process().waitForLog("resolve: a name has new addresses");
    CHECK(field(line, "now") == "127.0.0.2,[2001:db8::2]");
    dns.addresses(kName, {"127.0.0.2"});  // and no IPv6 one
    const auto from = balancer.process().logSize();
    CHECK(field(balancer.process().waitForLog("resolve: a name has new addresses", 10s, from), "now") == "127.0.0.2");
  });
}

TEST_CASE("Hosts of a service become backends with the port, priority and weight of their records", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Server a{named("a")}, b{named("b")}, spare{named("s")};
    dns.service("_http._tcp.example", {{10, 3, static_cast<std::uint16_t>(portOf(a.address())), "a.example"},
                                       {10, 0, static_cast<std::uint16_t>(portOf(b.address())), "b.example"},
                                       {20, 1, static_cast<std::uint16_t>(portOf(spare.address())), "s.example"}});
    for (const auto* host : {"a.example", "b.example", "s.example"}) dns.addresses(host, {"127.0.0.1"});
    const TemporaryFolder folder;
    auto config = quick().set("strategy.algorithm", "weighted_round_robin").set("health.slow_start", "0s");
    config.backend("app", "srv:_http._tcp.example", "weight = 2\npriority = 1");
    Balancer balancer(config, {}, withResolver(folder));
    CHECK(rows(balancer) ==
          std::vector<std::string>{a.address() + " up 11/6", b.address() + " up 11/2", spare.address() + " up 21/2"});
    std::map<std::string, int> answers;
    for (int i = 0; i < 8; ++i) ++answers[balancer.ask()];
    CHECK(answers == std::map<std::string, int>{{"a", 6}, {"b", 2}});
    CHECK(balancer.metric("lemonade_backend_up", {"backend=\"app\"", "address=\"" + spare.address() + "\""}) == 1);
  });
}

TEST_CASE("Changed records of a service are followed without cutting its sessions", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Server a{named("a")}, b{named("b")};
    const auto record = [](const Server& server, std::uint16_t priority, const std::string& host) {
      return Dns::Record{priority, 1, static_cast<std::uint16_t>(portOf(server.address())), host};
    };
    dns.addresses("a.example", {"127.0.0.1"});
    dns.addresses("b.example", {"127.0.0.1"});
    dns.service("_http._tcp.example", {record(a, 1, "a.example"), record(b, 2, "b.example")});
    const TemporaryFolder folder;
    Balancer balancer(byService(), {}, withResolver(folder));
    CHECK(whoAnswers(balancer) == "a");
    auto client = balancer.connect();
    REQUIRE(client.receiveLine() == "a");
    dns.service("_http._tcp.example", {record(a, 2, "a.example"), record(b, 1, "b.example")});
    CHECK(eventually([&] { return whoAnswers(balancer) == "b"; }));
    // It goes on drain only when its record goes.
    dns.service("_http._tcp.example", {record(b, 1, "b.example")});
    CHECK(eventually(
        [&] { return rows(balancer).size() == 2 && rows(balancer)[1].find("draining") != std::string::npos; }));
    CHECK(client.staysOpen(50ms));
    // Records that fail, or go altogether, change nothing.
    dns.fail("_http._tcp.example", GENERATE(Dns::kServfail, Dns::kNxdomain));
    const auto line = balancer.process().waitForLog("resolve: a name does not resolve");
    CHECK(field(line, "name") == "srv:_http._tcp.example");
    CHECK(whoAnswers(balancer) == "b");
  });
}

TEST_CASE("A service and its hosts that do not resolve yet wait for their names", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Server a{named("a")}, b{named("b")};
    dns.fail("_http._tcp.example", Dns::kServfail);
    const TemporaryFolder folder;
    Balancer balancer(byService(), {}, withResolver(folder));
    CHECK(rows(balancer) == std::vector<std::string>{"srv:_http._tcp.example unresolved 0/1"});
    const auto port = static_cast<std::uint16_t>(portOf(b.address()));
    dns.service("_http._tcp.example",
                {{0, 1, static_cast<std::uint16_t>(portOf(a.address())), "a.example"}, {0, 1, port, "b.example"}});
    dns.addresses("a.example", {"127.0.0.1"});
    CHECK(eventually([&] { return whoAnswers(balancer) == "a"; }));
    CHECK(rows(balancer) ==
          std::vector<std::string>{a.address() + " up 0/1", "b.example:" + std::to_string(port) + " unresolved 0/1"});
    dns.addresses("b.example", {"127.0.0.1"});
    CHECK(eventually([&] { return whoAnswers(balancer) == "ab"; }));
    // A host that fails keeps its address.
    dns.fail("b.example", Dns::kServfail);
    const auto asked = dns.asked("b.example", Dns::kA);
    REQUIRE(eventually([&] { return dns.asked("b.example", Dns::kA) >= asked + 3; }));
    CHECK(whoAnswers(balancer) == "ab");
  });
}

TEST_CASE("A check that asks for a name is told the host in the record of a service", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    std::promise<std::string> host;
    std::once_flag once;
    Server server([&](Socket& client) {
      for (auto line = client.receiveLine(); line.size() > 1; line = client.receiveLine())
        if (line.starts_with("Host: ")) std::call_once(once, [&] { host.set_value(line); });
      client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    const auto port = portOf(server.address());
    dns.service("_http._tcp.example", {{0, 1, static_cast<std::uint16_t>(port), "a.example"}});
    dns.addresses("a.example", {"127.0.0.1"});
    const TemporaryFolder folder;
    Balancer balancer(byService().set("health.checker", "http"), {}, withResolver(folder));
    CHECK(host.get_future().get() == "Host: a.example:" + std::to_string(port) + "\r");
  });
}

TEST_CASE("Validating says of names what a start would, and is as quick", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    dns.silence("silent.example");
    dns.addresses("good.example", {"127.0.0.1"});
    const TemporaryFolder folder;
    Config config =
        quick().backend("s", "silent.example:1").backend("n", "nowhere.example:2").backend("g", "good.example:3");
    const auto file = folder.write("lemonade.toml", config.text());
    auto command = withResolver(folder);
    for (const auto& word : lemonade({"lb", "--validate", "--config", file})) command.push_back(word);
    const Stopwatch watch;
    const auto outcome = run(command);
    CHECK(watch.elapsed() < 2s * timeFactor());
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.err, Catch::Contains("warning") &&
                                Catch::Contains("name \"silent.example\" has not resolved within 300 ms") &&
                                Catch::Contains("name \"nowhere.example\" does not resolve: there is no such name") &&
                                !Catch::Contains("good.example"));
  });
}

}  // namespace lemonade::test
