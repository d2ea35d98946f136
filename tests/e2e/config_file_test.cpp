// SPDX-License-Identifier: MIT
//
// Whatever the path of the configuration leads to: what cannot be one is refused, and everything else goes on.
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/privilege.h"
#include "support/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <fstream>

namespace fs = std::filesystem;

namespace lemonade::test {
namespace {

/// A mount whose server is gone: whoever asks it for a file waits, until this ends.
class DeadMount {
 public:
  explicit DeadMount(fs::path where) : where_(std::move(where)), server_(::open("/dev/fuse", O_RDWR | O_CLOEXEC)) {
    const auto options = "fd=" + std::to_string(server_.get()) + ",rootmode=40000,user_id=0,group_id=0";
    mounted_ = server_ && ::mount("none", where_.c_str(), "fuse", 0, options.c_str()) == 0;
  }
  ~DeadMount() {
    if (mounted_) (void)::umount2(where_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }

 private:
  const fs::path where_;
  const Fd server_;
  bool mounted_ = false;
};

std::string quoted(const std::string& text) { return "'" + text + "'"; }

/// The command line of a balancer as a shell takes it.
std::string shellCommand(const Arguments& arguments) {
  std::string line;
  for (const auto& argument : lemonade(arguments)) line += quoted(argument) + " ";
  return line;
}

}  // namespace

TEST_CASE("A FIFO, a device, a folder or nonsense in place of the configuration is refused and all else goes on",
          "[config_file]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(watched().backend("a", a.address()));
  const auto file = balancer.folder().path() / "lemonade.toml";
  const auto answerTo = [&](const std::function<void()>& put) {
    const auto seen = balancer.process().logSize();
    fs::remove_all(file);
    put();
    const auto answer = requestReload(balancer);
    CHECK(answer.status == 422);
    CHECK(balancer.admin("/healthz").status == 200);
    CHECK(balancer.ask() == "a");
    CHECK(balancer.process().logSize() - seen <= 105);
    return answer.body;
  };
  CHECK(contains(answerTo([&] { REQUIRE(::mkfifo(file.c_str(), 0600) == 0); }), "is a pipe"));
  CHECK(contains(answerTo([&] { fs::create_symlink("/dev/zero", file); }), "is a device"));
  CHECK(contains(answerTo([&] { fs::create_directory(file); }), "is a directory"));
  CHECK(contains(answerTo([&] {
                   std::string dots;
                   for (int i = 0; i < 100'000; ++i) dots += "a.";
                   std::ofstream(file) << dots << "a = 1\n";
                 }),
                 ":1:64: a key has more than 32 parts"));
  CHECK(contains(answerTo([&] {
                   std::ofstream nonsense(file);
                   for (int i = 0; i < 100'000; ++i) nonsense << "an_unknown_key_" << i << " = 1\n";
                 }),
                 " more like these"));
  fs::remove_all(file);
  write(balancer, watched().backend("b", b.address()));
  CHECK(eventually([&] { return balancer.ask() == "b"; }));
}

TEST_CASE("A reload by SIGHUP reads a file again that was a FIFO in between", "[config_file]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(unwatched().backend("a", a.address()));
  const auto file = balancer.folder().path() / "lemonade.toml";
  fs::remove(file);
  REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  balancer.process().signal(SIGHUP);
  waitForReloads(balancer, 1, "failed");
  fs::remove(file);
  write(balancer, unwatched().backend("b", b.address()));
  balancer.process().signal(SIGHUP);
  waitForReloads(balancer, 1);
  CHECK(balancer.ask() == "b");
}

TEST_CASE("A configuration on a mount whose server is gone holds up neither a stop nor admin nor a later reload",
          "[config_file]") {
  if (!isRoot()) return skip("a mount needs root");
  Server a(named("a")), b(named("b"));
  Balancer balancer(unwatched().backend("a", a.address()));
  {
    const DeadMount dead(balancer.folder().path());
    if (!dead.mounted()) return skip("no FUSE to be had");
    const Stopwatch stopwatch;
    const auto answer = requestReload(balancer);
    CHECK(answer.status == 422);
    CHECK(contains(answer.body, "its file system does not answer"));
    CHECK(balancer.admin("/healthz").status == 200);
    CHECK(balancer.ask() == "a");
    CHECK(stopwatch.elapsed() < 10s);
  }
  CHECK(contains(reload(balancer, unwatched().backend("b", b.address())), "backend b: added"));
  const DeadMount dead(balancer.folder().path());
  balancer.process().signal(SIGHUP);
  const Stopwatch stopwatch;
  CHECK(balancer.stop() == 0);
  CHECK(stopwatch.elapsed() < 5s);
}

TEST_CASE("A configuration comes through a pipe and a reload says what it does then", "[config_file]") {
  Server a(named("a"));
  const TemporaryFolder folder;
  const auto file =
      folder.write("lemonade.toml", unwatched().set("metrics.interval", "7s").backend("a", a.address()).text());
  const bool stdin_pipe = GENERATE(true, false);
  // The shell becomes the balancer, so that signals reach it.
  const auto balance = "exec " + shellCommand({"lb", "--config"});
  Process process(
      {"bash", "-c",
       stdin_pipe ? "exec < <(cat " + file + "); " + balance + "/dev/stdin" : balance + "<(cat " + file + ")"});
  const auto admin = adminOf(process);
  waitUntilReady(process);
  const auto answer = httpGet(admin, "/api/v1/reload", "POST");
  CHECK(answer.status == 200);
  CHECK(contains(answer.body, "nothing changed"));
  CHECK(contains(answer.body, "came through a pipe, which cannot be read again"));
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

TEST_CASE("A configuration that comes through a pipe is validated", "[config_file]") {
  const TemporaryFolder folder;
  const auto good = folder.write("good.toml", Config().backend("a", "127.0.0.1:1").text());
  const auto validate = shellCommand({"lb", "--validate", "--config"});
  for (const auto& line : {"cat " + good + " | " + validate + "/dev/stdin", validate + "<(cat " + good + ")",
                           validate + "/dev/stdin < " + good}) {
    const auto outcome = run({"bash", "-c", line});
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(contains(outcome.out, "the configuration is valid"));
  }
  const auto outcome = run({"bash", "-c", "echo nonsense | " + validate + "/dev/stdin"});
  CHECK(outcome.code == 1);
  CHECK(contains(outcome.err, "/dev/stdin:1:"));
}

TEST_CASE("A configuration is not applied between two writes of a file that belongs to another user", "[config_file]") {
  if (!isRoot() || !installed("setpriv")) return skip("another user needs root and setpriv");
  Server a(named("a")), b(named("b"));
  const TemporaryFolder folder;
  const auto config = [&] { return watched().backend("a", a.address()); };
  const auto file = folder.write("lemonade.toml", config().text());
  fs::permissions(folder.path(), fs::perms(0755));
  REQUIRE(::chown(file.c_str(), 0, 65534) == 0);
  fs::permissions(file, fs::perms(0640));
  Arguments line{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
  for (const auto& argument : lemonade({"lb", "--config", file})) line.push_back(argument);
  Process process(line, {{"TMPDIR", "/tmp"}});
  const auto admin = adminOf(process);
  waitUntilReady(process);
  CHECK(httpGet(admin, "/api/v1/reload", "POST").status == 200);
  {
    std::ofstream writer(file);
    // Whole without its last backend: only the writer knows that more is to come.
    writer << config().set("metrics.interval", "7s").text() << std::flush;
    std::this_thread::sleep_for(1'500ms);
    CHECK(httpGet(admin, "/api/v1/reload", "POST").status == 422);
    CHECK(contains(httpGet(admin, "/metrics").body, "lemonade_config_generation 1\n"));
    writer << "[[backends]]\nid = \"b\"\naddress = \"" << b.address() << "\"\n";
  }
  CHECK(eventually([&] { return contains(httpGet(admin, "/metrics").body, "lemonade_config_generation 2\n"); }));
  CHECK(contains(httpGet(admin, "/metrics").body, "backend=\"b\""));
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

}  // namespace lemonade::test
