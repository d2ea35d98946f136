// SPDX-License-Identifier: MIT
//
// Real programs through the balancer: curl, wrk, redis and our own worker.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/redis.h"
#include "support/server.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <set>

namespace lemonade::test {
namespace {

/// One of our own workers.
class Worker {
 public:
  explicit Worker(const std::string& name)
      : process_(lemonade({"worker", "--address", "127.0.0.1:0", "--name", name})), address_(demoBackendOf(process_)) {}
  ~Worker() {
    process_.signal(SIGTERM);
    CHECK(process_.wait() == 0);
  }
  const std::string& address() const { return address_; }

 private:
  Process process_;
  std::string address_;
};

std::string port(Balancer& balancer) { return std::to_string(portOf(balancer.address())); }

/// The number that follows a word in a text; -1 where the word is not there.
double numberAfter(const std::string& text, const std::string& word) {
  const auto at = text.find(word);
  return at == std::string::npos ? -1 : std::stod(text.substr(at + word.size()));
}

}  // namespace

TEST_CASE("curl gets answers from all workers through the balancer", "[real_clients]") {
  Worker one("one"), two("two");
  Balancer balancer(Config().backend("one", one.address()).backend("two", two.address()));
  std::set<std::string> answered;
  for (int i = 0; i < 4; ++i) {
    const auto outcome = run({"curl", "-sS", "--max-time", "10", "http://" + balancer.address() + "/work"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    for (const char* name : {"one", "two"})
      if (outcome.out.find("\"" + std::string(name) + "\"") != std::string::npos) answered.insert(name);
  }
  CHECK(answered == std::set<std::string>{"one", "two"});
  const auto health = run({"curl", "-sS", "--max-time", "10", "http://" + balancer.address() + "/health"});
  CHECK(health.out.find("ok") != std::string::npos);
}

TEST_CASE("wrk keeps many connections busy without an error", "[real_clients]") {
  Server a(http("a")), b(http("b"));
  Balancer balancer(Config().set("strategy.algorithm", "adaptive").backend("a", a.address()).backend("b", b.address()));
  const auto outcome = run({"wrk", "-t1", "-c50", "-d1s", "http://" + balancer.address() + "/"});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
  CHECK(outcome.out.find("Socket errors") == std::string::npos);
  CHECK(outcome.out.find("Non-2xx") == std::string::npos);
  CHECK(numberAfter(outcome.out, "Requests/sec:") > 100);
  CHECK(balancer.metric("lemonade_backend_exchanges_total") > 100);
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
}

TEST_CASE("redis-cli and redis-benchmark work through the balancer", "[real_clients]") {
  Redis redis;
  Balancer balancer(Config().backend("redis", redis.address()));
  CHECK(run({"redis-cli", "-p", port(balancer), "set", "key", "value"}).out == "OK\n");
  CHECK(run({"redis-cli", "-p", port(balancer), "get", "key"}).out == "value\n");
  const auto outcome = run(
      {"redis-benchmark", "-p", port(balancer), "-t", "set,get", "-n", "2000", "-c", "20", "-P", "4", "-q"}, {}, 60s);
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
  CHECK(outcome.out.find("SET: ") != std::string::npos);
  CHECK(outcome.out.find("GET: ") != std::string::npos);
  CHECK((outcome.out + outcome.err).find("rror") == std::string::npos);
}

TEST_CASE("A worker answers by name after its delay and keeps the connection", "[real_clients]") {
  Process process(lemonade({"worker"}), {{"LEMONADE_WORKER_LISTEN_ADDRESS", "127.0.0.1:0"},
                                         {"LEMONADE_WORKER_SERVICE_NAME", "from the environment"},
                                         {"LEMONADE_WORKER_WORK_DELAY_MS", "120"}});
  const auto address = demoBackendOf(process);
  const Stopwatch watch;
  const auto answer = httpGet(address, "/work");
  CHECK(watch.elapsed() >= 115ms);
  CHECK(answer.status == 200);
  CHECK(answer.body.find("\"from the environment\"") != std::string::npos);
  CHECK(httpGet(address, "/health").status == 200);
  CHECK(httpGet(address, "/nothing").status == 404);
  const auto twice =
      run({"curl", "-sSv", "--max-time", "10", "http://" + address + "/health", "http://" + address + "/health"});
  CHECK(twice.err.find("Re-using existing connection") != std::string::npos);
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

}  // namespace lemonade::test
