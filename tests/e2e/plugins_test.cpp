// SPDX-License-Identifier: MIT
//
// Strangers' plugins in the running balancer: good ones work, bad ones are named and survived.
#include "support/balancer.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

namespace lemonade::test {
namespace {

/// The plugin of an id in the status.
Poco::JSON::Object::Ptr plugin(Balancer& balancer, const std::string& id) {
  const auto plugins = balancer.status()->getArray("plugins");
  for (unsigned i = 0; i < plugins->size(); ++i)
    if (plugins->getObject(i)->getValue<std::string>("id") == id) return plugins->getObject(i);
  throw std::out_of_range("the status has no plugin " + id);
}

std::string contentOf(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

Config stubborn(const std::string& answer) {
  return Config().set("strategy.algorithm", "com.example.stubborn").set("strategy.options.answer", answer);
}

}  // namespace

TEST_CASE("A stranger's strategy dropped into a directory and named in the configuration balances", "[plugins]") {
  Server a(named("a")), b(named("b"));
  const TemporaryFolder folder;
  std::filesystem::copy_file(testPlugin("first"), folder.path() / "whatever.so");
  Balancer balancer(Config()
                        .set("health.checker", "tcp")
                        .set("strategy.algorithm", "com.example.first")
                        .raw("plugins.directories", "[\"" + folder.path().string() + "\"]")
                        .backend("a", a.address())
                        .backend("b", b.address()));
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask() == "a");
  CHECK(plugin(balancer, "com.example.first")->getValue<std::string>("version") == "1.2.3");
  CHECK(plugin(balancer, "com.example.first")->getValue<std::string>("file") ==
        (folder.path() / "whatever.so").string());
}

TEST_CASE("Files that are no plugins are named in the log and skipped", "[plugins]") {
  Server a(named("a"));
  const TemporaryFolder folder;
  folder.write("empty.so", "");
  folder.write("text.so", "this is no shared object, whatever its name says");
  folder.write("cut.so", contentOf(testPlugin("first")).substr(0, 2048));
  std::filesystem::copy_file("/lib/x86_64-linux-gnu/libm.so.6", folder.path() / "libm.so");
  Balancer balancer(Config()
                        .set("health.checker", "tcp")
                        .raw("plugins.directories", "[\"" + folder.path().string() + "\"]")
                        .backend("a", a.address()));
  CHECK(balancer.ask() == "a");
  for (const char* file : {"empty.so", "text.so", "cut.so", "libm.so"}) {
    CAPTURE(file);
    const auto line = balancer.process().waitForLog(file);
    CHECK(line.find("WARN") != std::string::npos);
    CHECK(line.find("skipped") != std::string::npos);
  }
}

TEST_CASE("A plugin cut short anywhere is refused with a sentence or works and never crashes the host", "[plugins]") {
  const std::string image = contentOf(testPlugin("first"));
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml", Config()
                                                      .set("health.checker", "tcp")
                                                      .set("strategy.algorithm", "com.example.first")
                                                      .raw("plugins.directories", "[\".\"]")
                                                      .backend("a", "127.0.0.1:1")
                                                      .text());
  for (std::size_t size = 1; size < image.size(); size += image.size() / 23) {
    CAPTURE(size);
    folder.write("first.so", image.substr(0, size));
    const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
    INFO(outcome.err);
    CHECK((outcome.code == 0 || outcome.code == 1));
    CHECK((outcome.code == 0 || outcome.err.find("first") != std::string::npos));
  }
}

TEST_CASE("Of two plugins with the same id the higher version wins and the log says so", "[plugins]") {
  Server a(named("a")), b(named("b"));
  const std::string impostor = LEMONADE_IMPOSTOR_FOLDER;
  Balancer balancer(Config()
                        .raw("plugins.directories", "[\"" + testPluginFolder() + "\", \"" + impostor + "\"]")
                        .backend("a", a.address())
                        .backend("b", b.address()));
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask() == "b");
  CHECK(plugin(balancer, "round_robin")->getValue<std::string>("version") == "9.9.9");
  const auto line = balancer.process().waitForLog("its id round_robin is taken by " + impostor);
  CHECK(line.find("whose version 9.9.9 is higher than 1.0.0") != std::string::npos);
}

TEST_CASE("Answers of a strategy that cannot be used are counted and round robin answers instead", "[plugins]") {
  Server a(named("a")), b(named("b")), c(named("c"));
  const std::string answer = GENERATE("out_of_range", "first_backend");
  CAPTURE(answer);
  Balancer balancer(stubborn(answer)
                        .backend("off", c.address(), "enabled = false")
                        .backend("a", a.address())
                        .backend("b", b.address()));
  std::string order;
  for (int i = 0; i < 6; ++i) order += balancer.ask();
  CHECK(std::count(order.begin(), order.end(), 'a') == 3);
  CHECK(std::count(order.begin(), order.end(), 'b') == 3);
  CHECK(balancer.metric("lemonade_proxy_invalid_picks_total") == 6);
  CHECK(balancer.process().countLog("cannot be used", 1) >= 1);
  CHECK(balancer.process().countLog("cannot be used") < 6);
}

TEST_CASE("A backend that failed and is picked again by a stubborn strategy is not tried again", "[plugins]") {
  RefusingPort dead;
  Server good(named("good"));
  Balancer balancer(stubborn("first_backend")
                        .set("health.fall", 1000)
                        .backend("dead", dead.address())
                        .backend("good", good.address()));
  CHECK(balancer.ask() == "good");
  CHECK(balancer.metric("lemonade_backend_connect_failures_total", {"backend=\"dead\""}) == 1);
}

TEST_CASE("A strategy that gives no backend closes the client and one that rejects resets it", "[plugins]") {
  Server a(named("a"));
  {
    Balancer balancer(stubborn("none").backend("a", a.address()));
    CHECK(balancer.connect().next() == End::kClosed);
    CHECK(balancer.metric("lemonade_proxy_unserved_total", {"no_backend"}) == 1);
  }
  {
    Balancer balancer(stubborn("reject").backend("a", a.address()));
    // The reset may come before connect() has looked.
    const auto end = [&] {
      try {
        return balancer.connect().next();
      } catch (const ResetError&) {
        return End::kReset;
      }
    };
    CHECK(end() == End::kReset);
    CHECK(eventually([&] { return balancer.metric("lemonade_proxy_unserved_total", {"rejected"}) == 1; }));
  }
}

TEST_CASE("An unknown plugin is a configuration error that lists what there is", "[plugins]") {
  const TemporaryFolder folder;
  const auto file = folder.write(
      "lemonade.toml", Config().set("strategy.algorithm", "com.example.frist").backend("a", "127.0.0.1:1").text());
  const auto outcome = run(lemonade({"lb", "--config", file}));
  CHECK(outcome.code == 1);
  CHECK(outcome.err.find("com.example.first") != std::string::npos);
  CHECK(outcome.err.find("adaptive") != std::string::npos);
}

}  // namespace lemonade::test
