// SPDX-License-Identifier: MIT
//
// The command line: commands and their aliases, exit codes, and --validate, which checks all and binds nothing.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/privilege.h"
#include "support/server.h"

#include <signal.h>

#include <catch2/catch.hpp>

namespace lemonade::test {
namespace {

/// The outcome of `lemonade lb --validate` on a configuration text; file names it as the findings do.
struct Validation {
  explicit Validation(const std::string& text, Arguments more = {}) : file(folder.write("lemonade.toml", text)) {
    Arguments arguments = {"lb", "--validate", "--config", file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    outcome = run(lemonade(arguments));
    said = outcome.out + outcome.err;
  }

  /// True where a finding of that place contains text.
  bool found(const std::string& place, const std::string& text) const {
    const auto start = said.find(file + ":" + place + ": ");
    if (start == std::string::npos) return false;
    return said.substr(start, said.find('\n', start) - start).find(text) != std::string::npos;
  }

  TemporaryFolder folder;
  std::string file;
  Outcome outcome;
  std::string said;
};

constexpr const char* kGood = "[[backends]]\naddress = \"127.0.0.1:1\"\n";

}  // namespace

TEST_CASE("The version option names the version and the ABI version", "[command_line]") {
  const auto outcome = run(lemonade({"--version"}));
  CHECK(outcome.code == 0);
  CHECK(outcome.out.find(LEMONADE_VERSION) != std::string::npos);
  CHECK(outcome.out.find("ABI 1.") != std::string::npos);
}

TEST_CASE("The help option names both commands and each command explains itself", "[command_line]") {
  const auto outcome = run(lemonade({"--help"}));
  CHECK(outcome.code == 0);
  CHECK(outcome.out.find("load-balancer") != std::string::npos);
  CHECK(outcome.out.find("worker") != std::string::npos);
  for (const std::string command : {"load-balancer", "lb"}) {
    const auto help = run(lemonade({command, "--help"}));
    CHECK(help.code == 0);
    for (const char* option : {"--config", "--validate", "--plugin-dir"})
      CHECK(help.out.find(option) != std::string::npos);
  }
  for (const std::string command : {"worker", "w"}) {
    const auto help = run(lemonade({command, "--help"}));
    CHECK(help.code == 0);
    for (const char* option : {"--config", "--address", "--name", "--delay"})
      CHECK(help.out.find(option) != std::string::npos);
  }
}

TEST_CASE("A command line that makes no sense exits with 1 and says why", "[command_line]") {
  for (const Arguments& arguments : {Arguments{}, Arguments{"nonsense"}, Arguments{"lb", "--nonsense"},
                                     Arguments{"lb", "--config"}, Arguments{"worker", "--delay", "soon"}}) {
    const auto outcome = run(lemonade(arguments));
    CAPTURE(arguments);
    CHECK(outcome.code == 1);
    CHECK_FALSE(outcome.err.empty());
  }
}

TEST_CASE("A configuration error exits with 1 and an address in use with 2", "[command_line]") {
  const TemporaryFolder folder;
  CHECK(run(lemonade({"lb", "--config", "/nowhere/at.all"})).code == 1);
  CHECK(run(lemonade({"lb", "--config", folder.path().string()})).code == 1);
  CHECK(run(lemonade({"lb", "--config", folder.write("broken.toml", "[proxy\n")})).code == 1);

  const Fd taken = listenOn("127.0.0.1:0");
  const std::string address = localAddressOf(taken.get());
  Config config;
  config.backend("a", "127.0.0.1:1");
  const auto proxy = run(lemonade(
      {"lb", "--config", folder.write("proxy.toml", Config(config).set("proxy.listen_address", address).text())}));
  CHECK(proxy.code == 2);
  CHECK(proxy.err.find(address) != std::string::npos);
  const auto admin = run(lemonade(
      {"lb", "--config", folder.write("admin.toml", Config(config).set("admin.listen_address", address).text())}));
  CHECK(admin.code == 2);
  CHECK(admin.err.find(address) != std::string::npos);
}

TEST_CASE("Validating accepts a good configuration and binds nothing", "[command_line]") {
  const Fd taken = listenOn("127.0.0.1:0");
  const std::string address = "\"" + localAddressOf(taken.get()) + "\"\n";
  const Validation validation("proxy.listen_address = " + address + "admin.listen_address = " + address + kGood);
  INFO(validation.said);
  CHECK(validation.outcome.code == 1);  // both on one address is wrong
  const Validation good("proxy.listen_address = " + address + "admin.listen_address = \"\"\n" + kGood);
  INFO(good.said);
  CHECK(good.outcome.code == 0);
}

TEST_CASE("Validating prints every error with its place and the mend", "[command_line]") {
  const Validation validation(
      "[proxy]\n"
      "max_conections = 5\n"
      "connect_timeout = \"soon\"\n"
      "[strategy]\n"
      "algorithm = \"round_robbin\"\n"
      "[[backends]]\n"
      "address = \"nowhere\"\n"
      "weight = -1\n"
      "[helth]\n"
      "interval = \"1s\"\n");
  INFO(validation.said);
  CHECK(validation.outcome.code == 1);
  CHECK(validation.found("2:1", "max_connections"));
  CHECK(validation.found("3:19", "connect_timeout"));
  CHECK(validation.found("5:13", "round_robin"));
  CHECK(validation.found("7:11", "address"));
  CHECK(validation.found("8:10", "weight"));
  CHECK(validation.found("9:2", "health"));
}

TEST_CASE("Validating checks the options of plugins", "[command_line]") {
  const std::string directory = "plugins.directories = [\"" + testPluginFolder() + "\"]\n";
  const Validation bad(
      directory + kGood +
      "[strategy]\nalgorithm = \"com.example.stubborn\"\n[strategy.options]\nanswer = \"perhaps\"\nanser = 1\n");
  INFO(bad.said);
  CHECK(bad.outcome.code == 1);
  CHECK(bad.found("7:10", "out_of_range"));
  CHECK(bad.found("8:9", "answer"));
  const Validation good(directory + kGood +
                        "[strategy]\nalgorithm = \"com.example.stubborn\"\n[strategy.options]\nanswer = \"none\"\n");
  INFO(good.said);
  CHECK(good.outcome.code == 0);
}

TEST_CASE("A name that does not resolve is a warning when validating", "[command_line]") {
  const Validation validation("[[backends]]\naddress = \"no-such-host.invalid:80\"\n");
  INFO(validation.said);
  CHECK(validation.outcome.code == 0);
  CHECK(validation.found("2:11", "no-such-host.invalid"));
}

TEST_CASE("A name that does not resolve starts down and comes up when it does", "[command_line]") {
  if (!isRoot()) return skip("only root can have an /etc/hosts of its own");
  Server server(named("late"), "127.0.0.1:0");
  const TemporaryFolder hosts;
  const std::string file = hosts.write("hosts", "127.0.0.1 localhost\n");
  const std::string address = "late.lemonade.test:" + std::to_string(portOf(server.address()));
  Balancer balancer(Config().realChecks().backend("late", address), {},
                    {"unshare", "-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\"", file});
  CHECK(balancer.process().countLog("WARN", 1) >= 1);
  CHECK(balancer.backend("late")->getValue<std::string>("state") == "unresolved");
  CHECK(balancer.ask().empty());
  CHECK(balancer.admin("/readyz").status == 503);
  hosts.write("hosts", "127.0.0.1 localhost late.lemonade.test\n");
  CHECK(eventually([&] { return balancer.ask() == "late"; }, 40s));
}

TEST_CASE("Both names of the commands start them", "[command_line]") {
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", Config().backend("a", "127.0.0.1:1").text());
  for (const std::string command : {"load-balancer", "lb"}) {
    Process process(lemonade({command, "--config", file}));
    waitUntilReady(process);
    process.signal(SIGTERM);
    CHECK(process.wait() == 0);
  }
  for (const std::string command : {"worker", "w"}) {
    Process process(lemonade({command, "--address", "127.0.0.1:0"}));
    (void)demoBackendOf(process);
    process.signal(SIGTERM);
    CHECK(process.wait() == 0);
  }
}

TEST_CASE("A plugin directory of the command line comes before the directories of the file", "[command_line]") {
  Server a(named("a")), b(named("b"));
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", Config().backend("a", a.address()).backend("b", b.address()).text());
  Process process(lemonade({"lb", "--config", file, "--plugin-dir", LEMONADE_IMPOSTOR_FOLDER}));
  const auto address = listenerOf(process);
  waitUntilReady(process);
  for (int i = 0; i < 4; ++i) CHECK(Socket::connect(address).receiveLine() == "b");
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

}  // namespace lemonade::test
