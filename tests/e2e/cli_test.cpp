// SPDX-License-Identifier: MIT
//
// The commands for operators, as a shell runs them: what they print, and what they exit with.
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

/// Runs a command against a balancer, over TCP.
Outcome operate(Balancer& balancer, Arguments arguments) {
  arguments.insert(arguments.end(), {"--admin", balancer.adminAddress()});
  return run(lemonade(arguments));
}

Object::Ptr json(const std::string& text) { return Poco::JSON::Parser().parse(text).extract<Object::Ptr>(); }

/// Two pools: web with the backends w1 and w2, db with d1.
Config twoPools(const std::string& address) {
  return unwatched()
      .backend("w1", address)
      .listener("db", "db")
      .toml(
          "[[backends]]\nid = \"w2\"\naddress = \"127.0.0.1:1\"\n[pools.db]\n[[pools.db.backends]]\nid = "
          "\"d1\"\naddress = \"" +
          address + "\"\n");
}

std::string rowOf(const std::string& table, const std::string& name) {
  const auto start = table.find(name);
  return start == std::string::npos ? "" : table.substr(start, table.find('\n', start) - start);
}

}  // namespace

TEST_CASE("Status shows the process and its listeners and pools and backends", "[cli]") {
  Server server(named("a"));
  Balancer balancer(twoPools(server.address()));
  const auto outcome = operate(balancer, {"status"});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
  CHECK(outcome.err.empty());
  CHECK(contains(outcome.out, std::string("lemonade ") + LEMONADE_VERSION));
  CHECK(contains(outcome.out, "running"));
  CHECK(contains(rowOf(outcome.out, "default/w1"), "up"));
  CHECK(contains(rowOf(outcome.out, "db/d1"), server.address()));
  const auto pools = outcome.out.find("\nPOOL");
  REQUIRE(pools != std::string::npos);
  CHECK(contains(rowOf(outcome.out.substr(pools), "db"), "1/1"));
  CHECK_FALSE(contains(outcome.out, "\033"));  // no terminal
  const auto as_json = operate(balancer, {"status", "--json"});
  CHECK(json(as_json.out)->getArray("pools")->size() == 2);
}

TEST_CASE("Status exits with 1 where a pool has no backend and with 3 where there is no balancer", "[cli]") {
  RefusingPort dead;
  Balancer balancer(Config().realChecks().backend("a", dead.address()));
  waitForState(balancer, "a", "down");
  const auto outcome = operate(balancer, {"status"});
  CHECK(outcome.code == 1);
  CHECK(contains(rowOf(outcome.out, "default/a"), "down"));
  const auto nobody = run(lemonade({"status", "--admin", dead.address()}));
  CHECK(nobody.code == 3);
  CHECK(contains(nobody.err, "no balancer answers at " + dead.address()));
  CHECK(nobody.out.empty());
  const TemporaryFolder folder;
  const auto no_socket = run(lemonade({"status", "--admin", (folder.path() / "admin.sock").string()}));
  CHECK(no_socket.code == 3);
  CHECK(contains(no_socket.err, "no balancer answers at unix:"));
}

TEST_CASE("The balancer is found by a place and by a configuration and by a variable", "[cli]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto socket = (folder.path() / "admin.sock").string();
  const auto config = unwatched().set("admin.socket", socket).backend("a", server.address());
  Balancer balancer(config);
  const auto file = (balancer.folder().path() / "lemonade.toml").string();
  for (const Arguments& where :
       {Arguments{"--admin", socket}, Arguments{"--admin", "unix:" + socket},
        Arguments{"--admin", "http://" + balancer.adminAddress() + "/"}, Arguments{"--config", file}}) {
    Arguments arguments{"status"};
    arguments.insert(arguments.end(), where.begin(), where.end());
    CAPTURE(where);
    CHECK(run(lemonade(arguments)).code == 0);
  }
  CHECK(run(lemonade({"status"}), {{"LEMONADE_ADMIN", socket}}).code == 0);
  CHECK(run(lemonade({"status"}), {{"LEMONADE_LB_ADMIN_SOCKET", socket}}).code == 0);
  CHECK(run(lemonade({"status"}), {{"RUNTIME_DIRECTORY", folder.path().string()}}).code == 0);
  // An address that the environment names comes before the usual socket.
  const auto elsewhere = run(lemonade({"status"}), {{"RUNTIME_DIRECTORY", folder.path().string()},
                                                    {"LEMONADE_LB_ADMIN_ADDRESS", RefusingPort().address()}});
  CHECK(elsewhere.code == 3);
  CHECK_FALSE(contains(elsewhere.err, "unix:"));
  const auto by_address = folder.write("tcp.toml", "[admin]\nlisten_address = \"" + balancer.adminAddress() +
                                                       "\"\n[[backends]]\naddress = \"127.0.0.1:1\"\n");
  CHECK(run(lemonade({"status", "--config", by_address})).code == 0);
}

TEST_CASE("Wrong use of a command for operators exits with 2 and says what is wrong", "[cli]") {
  const TemporaryFolder folder;
  const auto broken = folder.write("broken.toml", "[proxy]\nretires = 1\n");
  const auto empty = folder.write("tokens", "# none\n");
  for (const Arguments& arguments :
       {Arguments{"status", "--nonsense"}, Arguments{"drain"}, Arguments{"weight", "a"}, Arguments{"check", "a"},
        Arguments{"status", "--admin", "nowhere"}, Arguments{"status", "--config", broken},
        Arguments{"status", "--config", "/nowhere/at.all"},
        Arguments{"status", "--admin", "127.0.0.1:1", "--token-file", empty},
        Arguments{"status", "--admin", "127.0.0.1:1", "--token-file", "/nowhere/at.all"},
        Arguments{"top", "--interval", "soon"}, Arguments{"check", "--config", broken, "a"}}) {
    const auto outcome = run(lemonade(arguments));
    CAPTURE(arguments);
    CHECK(outcome.code == 2);
    CHECK_FALSE(outcome.err.empty());
    CHECK(outcome.out.empty());
  }
}

TEST_CASE("Reload says what changed and exits with 1 where it is refused", "[cli]") {
  Server server(named("a"));
  const auto config = unwatched().backend("a", server.address());
  Balancer balancer(config);
  write(balancer, Config(config).set("proxy.retries", 7));
  const auto applied = operate(balancer, {"reload"});
  CHECK(applied.code == 0);
  CHECK(contains(applied.out, "retries 2 -> 7"));
  write(balancer, Config(config).raw("proxy.retires", "7"));
  const auto refused = operate(balancer, {"reload"});
  CHECK(refused.code == 1);
  CHECK(contains(refused.err, "unknown key proxy.retires"));
  const auto as_json = operate(balancer, {"reload", "--json"});
  CHECK(as_json.code == 1);
  CHECK(json(as_json.out)->getValue<std::string>("result") == "failed");
}

TEST_CASE("A token is sent from a file and a wrong one is refused with the mend", "[cli]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const std::string token = "0123456789abcdef0123456789abcdef";
  const auto tokens = folder.write("tokens", "# for tests\nci: " + token + "\n");
  const auto wrong = folder.write("wrong", "fedcba9876543210fedcba9876543210\n");
  Balancer balancer(
      unwatched().set("admin.token_file", tokens).set("admin.token_required", "always").backend("a", server.address()));
  const auto without = operate(balancer, {"reload"});
  CHECK(without.code == 1);
  CHECK(contains(without.err, "--token-file"));
  CHECK(operate(balancer, {"reload", "--token-file", wrong}).code == 1);
  CHECK(operate(balancer, {"reload", "--token-file", tokens}).code == 0);
  CHECK(run(lemonade({"reload", "--admin", balancer.adminAddress()}), {{"LEMONADE_ADMIN_TOKEN_FILE", tokens}}).code ==
        0);
  CHECK(contains(balancer.process().waitForLog("token=ci"), "POST /api/v1/reload"));
}

TEST_CASE("Top prints tables one after the other where there is no terminal", "[cli]") {
  Server server(echo());
  Balancer balancer(unwatched().backend("a", server.address()));
  const auto outcome = operate(balancer, {"top", "--count", "2", "--interval", "100ms"});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
  CHECK(contains(rowOf(outcome.out, "default/a"), "up"));
  const auto first = outcome.out.find("BACKEND");
  CHECK(outcome.out.find("BACKEND", first + 1) != std::string::npos);
  CHECK_FALSE(contains(outcome.out, "\033"));
  CHECK(run(lemonade({"top", "--admin", "127.0.0.1:1"})).code == 3);
}

TEST_CASE("Top draws on a terminal until q and leaves it as it was", "[cli]") {
  Server server(echo());
  Balancer balancer(unwatched().backend("a", server.address()));
  const TemporaryFolder folder;
  // A terminal of its own, whose keys come from a pipe.
  const auto typescript = (folder.path() / "screen").string();
  const auto command = lemonade({"top", "--admin", balancer.adminAddress(), "--interval", "100ms"});
  std::string line;
  for (const auto& word : command) line += (line.empty() ? "" : " ") + word;
  const auto outcome = run({"sh", "-c",
                            "(until grep -q TREND " + typescript +
                                " 2>/dev/null; do sleep 0.05; done; printf s; until grep -q 'by requests' " +
                                typescript + "; do sleep 0.05; done; printf q) | TERM=xterm script -qefc '" +
                                "stty rows 40 cols 132; " + line + "' " + typescript},
                           {{"NO_COLOR", ""}}, 60s);
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.out, "\033[?1049h"));
  CHECK(contains(outcome.out, "\033[?1049l"));
  CHECK(contains(outcome.out, "\033[32mup\033[0m"));
}

TEST_CASE("Check shows the dialogue with a backend step by step", "[cli]") {
  Server server([](Socket& socket) {
    (void)socket.receiveLine();
    socket.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    (void)socket.receiveAll();
  });
  Server good(http("good"));
  const TemporaryFolder folder;
  const auto file = folder.write(
      "lemonade.toml",
      Config().set("health.checker", "http").backend("bad", server.address()).backend("good", good.address()).text());
  const auto bad = run(lemonade({"check", "--config", file, "default/bad"}));
  INFO(bad.out << bad.err);
  CHECK(bad.code == 1);
  for (const char* part :
       {"default/bad at 127.0.0.1:", "checker http", "ms  sent ", "> GET /", "ms  connected", "received",
        "< HTTP/1.1 503 Service Unavailable", "ms  verdict: not alive", "ms  failed: "}) {
    CAPTURE(part);
    CHECK(contains(bad.out, part));
  }
  const auto passed = run(lemonade({"check", "--config", file, "good", "--json"}));
  CHECK(passed.code == 0);
  const auto check = json(passed.out)->getArray("checks")->getObject(0);
  CHECK(check->getValue<std::string>("outcome") == "passed");
  CHECK(check->getArray("steps")->size() >= 3);
}

TEST_CASE("Check says what it cannot check and why a check fails", "[cli]") {
  RefusingPort dead;
  BlackHole silent;
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", Config()
                                                      .set("health.checker", "tcp")
                                                      .set("health.timeout", "200ms")
                                                      .backend("dead", dead.address())
                                                      .backend("silent", silent.address())
                                                      .backend("nowhere", "no-such-host.invalid:80")
                                                      .text());
  const auto check = [&](const std::string& backend) { return run(lemonade({"check", "--config", file, backend})); };
  CHECK(check("dead").code == 1);
  CHECK(contains(check("dead").out, "connection refused"));
  CHECK(contains(check("silent").out, "timed out after 200ms"));
  const auto nowhere = check("nowhere");
  CHECK(nowhere.code == 1);
  CHECK(contains(nowhere.out, "the name has no address"));
  const auto unknown = check("deaf");
  CHECK(unknown.code == 2);
  CHECK(contains(unknown.err, "default/dead"));
}

}  // namespace lemonade::test
