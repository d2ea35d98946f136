// SPDX-License-Identifier: MIT
//
// What makes the balancer reload, and what it does with a file that is unchanged, unfinished or wrong.
#include "e2e/reloading.h"
#include "support/facts.h"
#include "support/server.h"

#include <fcntl.h>
#include <signal.h>

#include <catch2/catch.hpp>
#include <fstream>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

/// Two backends, of which the strategy takes the first.
struct Two {
  Server a{named("a")}, b{named("b")};

  /// Connections go to a.
  Config toA(Config config) const { return with(std::move(config), "1"); }
  /// Connections go to b.
  Config toB(Config config) const { return with(std::move(config), "0"); }

 private:
  Config with(Config config, const std::string& weight_of_a) const {
    return config.set("strategy.algorithm", "com.example.first")
        .backend("a", a.address(), "weight = " + weight_of_a)
        .backend("b", b.address());
  }
};

void replace(const fs::path& file, const std::string& content) {
  const fs::path beside = file.string() + ".new";
  std::ofstream(beside, std::ios::binary) << content;
  fs::rename(beside, file);
}

/// A link made anew and renamed into place, as kubelet does with ..data.
void relink(const fs::path& link, const fs::path& target) {
  const fs::path beside = link.string() + "_tmp";
  fs::create_symlink(target, beside);
  fs::rename(beside, link);
}

}  // namespace

TEST_CASE("A changed file takes effect within the interval that config_watch_interval_millis gives", "[reload]") {
  Two two;
  Balancer quick(two.toA(watched())), slow(two.toA(unwatched()));
  write(slow, two.toB(unwatched()));
  write(quick, two.toB(watched()));
  waitForReloads(quick, 1);
  CHECK(quick.ask() == "b");
  CHECK(slow.ask() == "a");
  CHECK(generation(slow) == 1);

  // The interval itself reloads.
  CHECK(contains(reload(slow, two.toB(watched())), "runtime.config_watch_interval_millis 3600s -> 50ms"));
  write(slow, two.toA(watched()));
  REQUIRE(eventually([&] { return generation(slow) == 3; }));
  CHECK(slow.ask() == "a");
}

TEST_CASE("A file written in place or renamed into place takes effect", "[reload]") {
  Two two;
  Balancer balancer(two.toA(watched()));
  REQUIRE(balancer.ask() == "a");
  if (GENERATE(true, false))
    write(balancer, two.toB(watched()));
  else
    replace(balancer.folder().path() / "lemonade.toml", two.toB(watched()).text());
  const auto line = balancer.process().waitForLog("config: reloaded");
  CHECK(field(line, "reason") == "changed files");
  CHECK(field(line, "generation") == "2");
  CHECK(balancer.process().countLog("config: backend a: weight 1 -> 0", 1) == 1);
  CHECK(balancer.ask() == "b");
}

TEST_CASE("The symlink swap of a mounted ConfigMap takes effect", "[reload]") {
  Two two;
  Balancer balancer(two.toA(watched()));
  const auto mount = balancer.folder().path();
  const auto publish = [&](const std::string& version, const Config& config) {
    fs::create_directory(mount / version);
    balancer.folder().write(version + "/lemonade.toml", config.text());
    relink(mount / "..data", version);
  };
  publish("..2026_01", two.toA(watched()));
  relink(mount / "lemonade.toml", "..data/lemonade.toml");
  publish("..2026_02", two.toB(watched()));
  waitForReloads(balancer, 1);
  CHECK(balancer.ask() == "b");
  CHECK(generation(balancer) == 2);
}

TEST_CASE("A file that is still being written is not taken for whole", "[reload]") {
  Two two;
  Balancer balancer(two.toA(watched()));
  const std::string whole = two.toB(watched()).text();
  // The first part would be a valid configuration by itself: one without backend b.
  const auto part = whole.rfind("[[backends]]");
  Fd file(::open((balancer.folder().path() / "lemonade.toml").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  REQUIRE(::write(file.get(), whole.data(), part) == static_cast<ssize_t>(part));
  const auto answer = requestReload(balancer);
  CHECK(answer.status == 422);
  CHECK(contains(answer.body, "is being written"));
  CHECK(generation(balancer) == 1);
  CHECK(balancer.ask() == "a");

  REQUIRE(::write(file.get(), whole.data() + part, whole.size() - part) == static_cast<ssize_t>(whole.size() - part));
  file.reset();
  waitForReloads(balancer, 1);
  CHECK(generation(balancer) == 2);
  CHECK(balancer.ask() == "b");
}

TEST_CASE("A wrong file keeps everything running and is tried again when it changes", "[reload]") {
  Two two;
  Balancer balancer(two.toA(watched()));
  const auto refused = [&](const std::string& text, const std::string& place) {
    const auto seen = balancer.process().logSize();
    const int before = reloadCount(balancer, "failed");
    balancer.folder().write("lemonade.toml", text);
    CHECK(contains(balancer.process().waitForLog("lemonade.toml:", 10s, seen), place));
    waitForReloads(balancer, before + 1, "failed");
    CHECK(balancer.ask() == "a");
  };
  const std::string good = two.toB(watched()).text();
  refused("this is no TOML\n" + good, "lemonade.toml:1:");
  refused("proxy.retrie = 3\n" + good, "retries");
  write(balancer, two.toB(watched()));
  waitForReloads(balancer, 1);
  CHECK(balancer.ask() == "b");
  CHECK(reloadCount(balancer, "applied") == 1);
  CHECK(reloadCount(balancer, "failed") == 2);
  CHECK(balancer.metric("lemonade_config_generation") == 2);
}

TEST_CASE("SIGHUP reloads", "[reload]") {
  Two two;
  Balancer balancer(two.toA(unwatched()));
  write(balancer, two.toB(unwatched()));
  balancer.process().signal(SIGHUP);
  waitForReloads(balancer, 1);
  CHECK(balancer.ask() == "b");
}

TEST_CASE("A POST reloads and answers with what changed or with what is wrong", "[reload]") {
  Two two;
  Balancer balancer(two.toA(unwatched()));
  write(balancer, two.toB(unwatched()).set("proxy.retries", 5));
  const auto done = requestReload(balancer);
  CHECK(done.status == 200);
  CHECK(done.body == "reloaded\nproxy.retries 2 -> 5\nbackend a: weight 1 -> 0\n");
  CHECK(generation(balancer) == 2);

  balancer.folder().write("lemonade.toml", two.toA(unwatched()).text() + "address2 = \"x\"\nid2 = 4\n");
  const auto wrong = requestReload(balancer);
  CHECK(wrong.status == 422);
  CHECK(contains(wrong.body, "address2"));
  CHECK(contains(wrong.body, "id2"));
  CHECK(generation(balancer) == 2);
  CHECK(balancer.ask() == "b");

  CHECK(httpGet(balancer.adminAddress(), "/api/v1/reload").status == 405);
}

TEST_CASE("A reload of the same content changes nothing and says so", "[reload]") {
  Two two;
  Balancer balancer(two.toA(unwatched()));
  const auto before = strategy(balancer)->getValue<int>("generation");
  CHECK(reload(balancer, two.toA(unwatched())) == "reloaded\nnothing changed\n");
  CHECK(generation(balancer) == 1);
  CHECK(strategy(balancer)->getValue<int>("generation") == before);
  CHECK(balancer.metric("lemonade_config_reloads_total") == 0);
}

TEST_CASE("Fifty requests across a reload are all answered", "[reload]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(unwatched().backend("a", a.address()));
  Socket kept = balancer.connect();
  std::string answers;
  for (int i = 0; i < 50; ++i) {
    if (i == 25) reload(balancer, unwatched().backend("b", b.address()));
    answers += balancer.ask();
  }
  CHECK(answers == std::string(25, 'a') + std::string(25, 'b'));
  // A connection to the backend that left goes on.
  CHECK(kept.receiveLine() == "a");
  CHECK(kept.staysOpen(50ms));
}

TEST_CASE("A reload that cannot be applied as a whole is not applied at all", "[reload]") {
  Two two;
  Balancer balancer(two.toA(unwatched()));
  const Fd taken = listenOn("127.0.0.1:0");
  const std::string address = localAddressOf(taken.get());
  const char* key = GENERATE("proxy.listen_address", "admin.listen_address");
  CAPTURE(key);
  write(balancer, two.toB(unwatched()).set("proxy.retries", 7).set(key, address));
  const auto answer = requestReload(balancer);
  CHECK(answer.status == 422);
  CHECK(contains(answer.body, address));
  CHECK(generation(balancer) == 1);
  CHECK(balancer.ask() == "a");
  CHECK(balancer.admin("/healthz").status == 200);
}

}  // namespace lemonade::test
