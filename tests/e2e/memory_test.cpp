// SPDX-License-Identifier: MIT
//
// Memory that is out ends a turn, a task or a session, and never the process; when there is memory again, everything
// works as before.
#include "support/balancer.h"
#include "support/scarcity.h"
#include "support/server.h"
#include "support/skip.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

using namespace lemonade;
using namespace lemonade::test;

namespace {

/// The page that the balancer shares with the test.
class Shortage {
 public:
  Shortage() {
    const Fd fd(::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(::ftruncate(fd.get(), sizeof(Scarcity)) == 0);
    void* const memory = ::mmap(nullptr, sizeof(Scarcity), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    REQUIRE(memory != MAP_FAILED);
    page_ = static_cast<Scarcity*>(memory);
  }
  ~Shortage() { ::munmap(page_, sizeof(Scarcity)); }
  Shortage(const Shortage&) = delete;
  Shortage& operator=(const Shortage&) = delete;

  Environment environment() const { return {{"LD_PRELOAD", LEMONADE_SCARCITY}, {kScarcityVariable, file_}}; }
  Scarcity* operator->() { return page_; }
  void end() { page_->memory_one_in = page_->calls_one_in = 0; }
  /// Until so much has failed, or long enough.
  void await(std::uint64_t failed) {
    CHECK(eventually([&] { return page_->failed >= failed; }, 5s));
  }

 private:
  TemporaryFolder folder_;
  std::string file_ = (folder_.path() / "page").string();
  Scarcity* page_ = nullptr;
};

/// Clients that come, push bytes, take some back and leave, whatever becomes of them.
class Crowd {
 public:
  Crowd(std::string address, int threads) : address_(std::move(address)) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this, i] { run(i); });
  }
  ~Crowd() {
    end_ = true;
    for (auto& thread : threads_) thread.join();
  }

 private:
  void run(int seed) {
    const std::string bytes(200'000, 'x');
    char taken[4096];
    for (int turn = seed; !end_; ++turn) {
      try {
        auto client = Socket::connect(address_);
        (void)client.sendSome(bytes);
        (void)client.receiveSome(taken, sizeof(taken), 200ms);
        if (turn % 3 == 0) client.finishSending();
        if (turn % 3 == 1) client.reset();
      } catch (const std::exception&) {
        // Turned away for want of memory.
      }
    }
  }

  const std::string address_;
  std::atomic<bool> end_{false};
  std::vector<std::thread> threads_;
};

constexpr int kRuns = -1;

/// kRuns, or the exit code.
int endOf(Balancer& balancer) { return balancer.process().wait(0ms).value_or(kRuns); }

/// Clients that come now are served, each of them.
void requireService(Balancer& balancer) {
  REQUIRE(endOf(balancer) == kRuns);
  // Backends that could not be checked or connected to for a while are looked for again.
  REQUIRE(eventually([&] {
    try {
      auto client = balancer.connect();
      client.send("x");
      return client.receive(1, 1s) == "x";
    } catch (const std::exception&) {
      return false;
    }
  }));
  const std::string bytes(300'000, 'y');
  for (int i = 0; i < 20; ++i) {
    auto client = balancer.connect();
    std::thread sending([&] {
      client.send(bytes);
      client.finishSending();
    });
    const std::string received = client.receiveAll();
    sending.join();
    CHECK(received == bytes);
  }
}

/// Asks the admin listener; true where the answer is 200.
bool asked(Balancer& balancer, const std::string& request, Millis within = 500ms) try {
  auto client = Socket::connect(balancer.adminAddress(), "", 500ms);
  client.send(request + " HTTP/1.1\r\nHost: " + balancer.adminAddress() + "\r\nConnection: close\r\n\r\n", 500ms);
  return client.receiveLine(within).find(" 200 ") != std::string::npos;
} catch (const std::exception&) {
  return false;  // for want of memory
}

/// Asks for what takes memory outside of the workers, whatever comes of it. Not for a reload: what reads TOML ends the
/// process where one allocation of many fails, and is only asked where there is memory for it.
void askMuch(Balancer& balancer) {
  (void)asked(balancer, "GET /metrics");
  (void)asked(balancer, "GET /api/v1/status");
}

}  // namespace

TEST_CASE("Workers that find no memory turn clients away, and serve the next", "[memory]") {
  if (LEMONADE_SANITIZED) skip("a sanitizer brings an allocator of its own");
  Server server(echo());
  Shortage shortage;
  Balancer balancer(Config().backend("a", server.address()), shortage.environment());
  shortage->workers_only = 1;
  for (const std::uint32_t one_in : {2, 5, 30}) {
    const Crowd crowd(balancer.address(), 4);
    shortage->failed = 0;
    shortage->memory_one_in = one_in;
    shortage.await(100);
    shortage.end();
    REQUIRE(endOf(balancer) == kRuns);
  }
  requireService(balancer);
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
}

TEST_CASE("Workers whose system calls find no memory go on when there is some", "[memory]") {
  if (LEMONADE_SANITIZED) skip("a sanitizer brings an allocator of its own");
  Server server(echo());
  Shortage shortage;
  Balancer balancer(Config().backend("a", server.address()), shortage.environment());
  shortage->workers_only = 1;
  for (const std::uint32_t one_in : {2, 10}) {
    const Crowd crowd(balancer.address(), 4);
    shortage->failed = 0;
    shortage->calls_one_in = one_in;
    shortage.await(20);
    shortage.end();
    REQUIRE(endOf(balancer) == kRuns);
  }
  requireService(balancer);
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
}

TEST_CASE("Threads that find no memory leave a turn out, and everything works afterwards", "[memory]") {
  if (LEMONADE_SANITIZED) skip("a sanitizer brings an allocator of its own");
  Server server(echo());
  Shortage shortage;
  Config config;
  config.realChecks().set("runtime.config_watch_interval_millis", 50).raw("metrics.sinks", R"(["prometheus", "log"])");
  config.set("metrics.interval", "20ms");
  config.backend("a", server.address());
  Balancer balancer(config, shortage.environment());
  balancer.process().signal(SIGHUP);  // heard: it has started to its very end
  balancer.process().waitForLog("nothing to reload");
  {
    const Crowd crowd(balancer.address(), 2);
    for (int turn = 0; turn < 12; ++turn) {
      shortage->memory_one_in = turn % 3 == 0 ? 20 : turn % 3 == 1 ? 60 : 200;
      askMuch(balancer);
      turn % 4 == 1 ? server.stop() : turn % 4 == 3 ? server.restart() : void();
      INFO(balancer.process().err());
      REQUIRE(endOf(balancer) == kRuns);
    }
    shortage.end();
  }
  (void)balancer.folder().write("lemonade.toml", config.set("proxy.retries", 7).text());
  CHECK(eventually([&] { return asked(balancer, "POST /api/v1/reload", 5s); }, 20s));
  requireService(balancer);
  server.stop();
  CHECK(eventually([&] { return balancer.metric("lemonade_backend_up", {"backend=\"a\""}) == 0; }));
  server.restart();
  CHECK(eventually([&] { return balancer.metric("lemonade_backend_up", {"backend=\"a\""}) == 1; }));
  CHECK(balancer.admin("/api/v1/status").status == 200);
}

TEST_CASE("A stop that finds no memory at all ends in its bound", "[memory]") {
  if (LEMONADE_SANITIZED) skip("a sanitizer brings an allocator of its own");
  Server server(echo());
  Shortage shortage;
  Balancer balancer(Config().set("runtime.accept_timeout_millis", 3000).backend("a", server.address()),
                    shortage.environment());
  auto client = balancer.connect();
  client.send("x");
  REQUIRE(client.receive(1) == "x");
  shortage->memory_one_in = 1;
  CHECK(balancer.stop(6s) == 0);
}

TEST_CASE("A start without the memory for a thread names the limit to raise", "[memory]") {
  const std::string limit = GENERATE("2000000", "8000000", "20000000");
  CAPTURE(limit);
  Arguments command{"prlimit", "--data=" + limit};
  const TemporaryFolder folder;
  const auto lb =
      test::lemonade({"lb", "--config", folder.write("lb.toml", "[[backends]]\naddress = \"127.0.0.1:9\"\n")});
  command.insert(command.end(), lb.begin(), lb.end());
  const auto outcome = run(command);
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("; raise what limits memory and threads (ulimit -a)"));
}
