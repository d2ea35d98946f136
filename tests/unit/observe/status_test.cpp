// SPDX-License-Identifier: MIT
#include "observe/status.h"

#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

Poco::JSON::Object::Ptr parsed(const std::string& json) {
  Poco::JSON::Parser parser;
  return parser.parse(json).extract<Poco::JSON::Object::Ptr>();
}

std::shared_ptr<Backend> makeBackend(const std::string& id, const std::string& address = "10.0.0.1:80") {
  return std::make_shared<Backend>(config::Backend{.id = id, .name = "name " + id, .host = "host", .port = 80},
                                   Address::parse(address).value_or(Address{}), 2);
}

std::vector<BackendStatus> collect(const std::vector<std::shared_ptr<Backend>>& backends) {
  return collectBackends(backends, Recent(0), 10 * kSecond);
}

}  // namespace

TEST_CASE("Status is JSON whatever the names hold", "[app]") {
  const std::string nasty =
      std::string("quote \" backslash \\ newline \n tab \t bell \a nul ") + '\0' + " é 日本 </script>";
  StatusInput input;
  input.backends.emplace_back();
  input.backends[0].settings.id = nasty;
  input.backends[0].settings.name = nasty;
  input.backends[0].reason = nasty;
  input.plugins.push_back({.kind = "strategy", .info = {.id = nasty, .version = "1", .file = nasty, .number = 3}});
  const auto object = parsed(statusJson(input));
  const auto backend = object->getArray("backends")->getObject(0);
  CHECK(backend->getValue<std::string>("id") == nasty);
  CHECK(backend->getValue<std::string>("name") == nasty);
  CHECK(backend->getValue<std::string>("reason") == nasty);
  CHECK(object->getArray("plugins")->getObject(0)->getValue<std::string>("file") == nasty);
}

TEST_CASE("Status shows the process and its parts", "[app]") {
  StatusInput input;
  input.version = "0.1.0";
  input.abi = "1.0";
  input.uptime_ns = 1'500'000'000;
  input.pid = 42;
  input.supervisor = {
      .pid = 41, .failed_upgrades = 3, .last_failure = "exit code 1", .deaths = 2, .last_death = "signal 9 (SIGKILL)"};
  input.state = "draining";
  input.config_generation = 2;
  input.config_file = "lb.toml";
  input.last_reload = {.result = "failed",
                       .reason = "SIGHUP",
                       .unix_ns = kSecond,
                       .duration_ns = 250'000'000,
                       .generation = 2,
                       .lines = {"lb.toml:1:1: no"}};
  input.max_connections = 100;
  input.listeners = {{.name = "web",
                      .pool = "blue",
                      .addresses = {"127.0.0.1:8080", "[::1]:8080"},
                      .max_connections = 50,
                      .sessions = 2,
                      .accepted = 9,
                      .configured_max_connections = 60,
                      .rates = {.clients = 4, .errors = 1, .error_share = 0.25},
                      .forward = "kernel",
                      .source = "keep"},
                     {.name = "relayed", .pool = "blue", .addresses = {}}};
  input.pools = {{.name = "blue",
                  .ready = true,
                  .strategy = "round_robin",
                  .checker = "none",
                  .backends = 3,
                  .eligible = 1,
                  .sessions = 2,
                  .queued = 1,
                  .rates = {.clients = 5, .exchanges = 50, .errors = 2, .error_share = 0.4},
                  .exchange_time = {.samples = 7, .p50 = 1, .p95 = 2, .p99 = 3},
                  .queue_time = {.samples = 8, .p50 = 4, .p95 = 5, .p99 = 6},
                  .mean_pick_ms = 0.0002,
                  .worst_pick_ms = 120}};
  input.control_lag_ms = 2.5;
  input.open_descriptors = 30;
  input.max_descriptors = 1'024;
  input.workers = {{.sessions = 1, .accepted = 18'446'744'073'709'551'615u},
                   {.sessions = 2, .accepted = 3, .lag_ms = 7.5}};
  input.plugins = {
      {.kind = "strategy", .info = {.id = "round_robin", .version = "1.0.0", .file = "rr.so", .number = 7}}};
  const auto object = parsed(statusJson(input));
  CHECK(object->getValue<std::string>("version") == "0.1.0");
  CHECK(object->getValue<std::string>("abi") == "1.0");
  CHECK(object->getValue<double>("uptime_seconds") == 1.5);
  CHECK(object->getValue<int>("pid") == 42);
  CHECK(object->getObject("supervisor")->getValue<int>("pid") == 41);
  CHECK(object->getObject("supervisor")->getValue<int>("failed_upgrades") == 3);
  CHECK(object->getObject("supervisor")->getValue<int>("deaths") == 2);
  CHECK(object->getObject("supervisor")->getValue<std::string>("last_death") == "signal 9 (SIGKILL)");
  CHECK(object->getObject("supervisor")->getValue<std::string>("last_failure") == "exit code 1");
  CHECK(parsed(statusJson(StatusInput{}))->isNull("supervisor"));
  CHECK(object->getValue<std::string>("state") == "draining");
  CHECK(object->getValue<int>("config_generation") == 2);
  CHECK(object->getValue<std::string>("config_file") == "lb.toml");
  const auto reload = object->getObject("last_reload");
  CHECK(reload->getValue<std::string>("result") == "failed");
  CHECK(reload->getValue<std::string>("reason") == "SIGHUP");
  CHECK(reload->getValue<std::string>("time").find("1970-01-01T00:00:01") == 0);
  CHECK(reload->getValue<double>("duration_seconds") == 0.25);
  CHECK(reload->getValue<int>("generation") == 2);
  CHECK(reload->getArray("lines")->getElement<std::string>(0) == "lb.toml:1:1: no");
  CHECK(parsed(statusJson(StatusInput{}))->isNull("last_reload"));
  CHECK(object->getValue<int>("max_connections") == 100);
  const auto listener = object->getArray("listeners")->getObject(0);
  CHECK(listener->getValue<std::string>("name") == "web");
  CHECK(listener->getValue<std::string>("pool") == "blue");
  CHECK(listener->getArray("addresses")->getElement<std::string>(1) == "[::1]:8080");
  CHECK(listener->getValue<int>("max_connections") == 50);
  CHECK(listener->getValue<int>("sessions") == 2);
  CHECK(listener->getValue<int>("accepted") == 9);
  CHECK(listener->getValue<int>("configured_max_connections") == 60);
  CHECK(listener->getValue<double>("client_rate") == 4);
  CHECK(listener->getValue<double>("error_rate") == 1);
  CHECK(listener->getValue<double>("error_share") == 0.25);
  CHECK(listener->getValue<std::string>("forward") == "kernel");
  CHECK(listener->getValue<std::string>("source") == "keep");
  CHECK(object->getArray("listeners")->getObject(1)->getValue<std::string>("forward") == "relay");
  CHECK_FALSE(object->getArray("listeners")->getObject(1)->has("source"));
  const auto pool = object->getArray("pools")->getObject(0);
  CHECK(pool->getValue<std::string>("name") == "blue");
  CHECK(pool->getValue<bool>("ready"));
  CHECK(pool->getValue<std::string>("strategy") == "round_robin");
  CHECK(pool->getValue<std::string>("checker") == "none");
  CHECK(pool->getValue<int>("backends") == 3);
  CHECK(pool->getValue<int>("eligible") == 1);
  CHECK(pool->getValue<int>("sessions") == 2);
  CHECK(pool->getValue<int>("queued") == 1);
  CHECK(pool->getValue<double>("client_rate") == 5);
  CHECK(pool->getValue<double>("exchange_rate") == 50);
  CHECK(pool->getValue<double>("error_rate") == 2);
  CHECK(pool->getValue<double>("error_share") == 0.4);
  CHECK(pool->getObject("exchange_ms")->getValue<double>("p95") == 2);
  CHECK(pool->getObject("queue_ms")->getValue<double>("p99") == 6);
  CHECK(pool->getObject("pick_ms")->getValue<double>("mean") == 0.0002);
  CHECK(pool->getObject("pick_ms")->getValue<double>("worst") == 120);
  CHECK(object->getValue<double>("control_lag_ms") == 2.5);
  CHECK(object->getObject("descriptors")->getValue<int>("open") == 30);
  CHECK(object->getObject("descriptors")->getValue<int>("limit") == 1'024);
  REQUIRE(object->getArray("workers")->size() == 2);
  CHECK(object->getArray("workers")->getObject(0)->getValue<std::uint64_t>("accepted") == 18'446'744'073'709'551'615u);
  CHECK(object->getArray("workers")->getObject(1)->getValue<double>("lag_ms") == 7.5);
  const auto plugin = object->getArray("plugins")->getObject(0);
  CHECK(plugin->getValue<std::string>("kind") == "strategy");
  CHECK(plugin->getValue<std::string>("id") == "round_robin");
  CHECK(plugin->getValue<std::string>("version") == "1.0.0");
  CHECK(plugin->getValue<std::string>("file") == "rr.so");
  CHECK(plugin->getValue<int>("generation") == 7);
}

TEST_CASE("Status shows what each backend did", "[app]") {
  const auto backend = makeBackend("a");
  for (std::uint32_t worker = 0; worker < 2; ++worker) {
    auto& counters = backend->counters(worker);
    counters.sessions.add(1);
    counters.connect_refused.add(2);
    counters.connect_timeouts.add(3);
    counters.connect_errors.add(4);
    counters.resets.add(5);
    counters.idle_timeouts.add(6);
    counters.exchanges.add(7);
    counters.bytes_in.add(8);
    counters.bytes_out.add(9);
    for (int i = 0; i < 50; ++i) counters.exchange_time.record(11'000'000);  // in the bucket from 10 to 12 ms
  }
  StatusInput input;
  input.backends = collect({backend});
  const auto object = parsed(statusJson(input))->getArray("backends")->getObject(0);
  const auto totals = object->getObject("totals");
  CHECK(totals->getValue<int>("sessions") == 2);
  CHECK(totals->getObject("connect_failures")->getValue<int>("refused") == 4);
  CHECK(totals->getObject("connect_failures")->getValue<int>("timeout") == 6);
  CHECK(totals->getObject("connect_failures")->getValue<int>("error") == 8);
  CHECK(totals->getValue<int>("resets") == 10);
  CHECK(totals->getValue<int>("idle_timeouts") == 12);
  CHECK(totals->getValue<int>("exchanges") == 14);
  CHECK(totals->getValue<int>("bytes_in") == 16);
  CHECK(totals->getValue<int>("bytes_out") == 18);
  CHECK(object->getValue<double>("exchange_rate") == Approx(1.4));
  CHECK(object->getValue<double>("connect_rate") == Approx(2));
  CHECK(object->getValue<double>("error_rate") == Approx(2.8));
  CHECK(object->getValue<double>("error_share") == 1);  // of 20 connects 18 failed, and more sessions than there were
  CHECK(object->getObject("exchange_ms")->getValue<int>("samples") == 100);
  CHECK(object->getObject("exchange_ms")->getValue<double>("p50") == Approx(11));
  CHECK(object->getObject("exchange_ms")->getValue<double>("p99") == Approx(11.98));
  CHECK(object->getObject("connect_ms")->getValue<int>("samples") == 0);
  CHECK(object->getObject("connect_ms")->getValue<double>("p99") == 0);
}

TEST_CASE("The state of a backend is the first of its reasons to be out", "[app]") {
  const auto stateOf = [](const std::shared_ptr<Backend>& backend) { return collect({backend})[0].state; };
  const auto backend = makeBackend("a");
  CHECK(stateOf(backend) == "up");
  backend->setHealth(false, "connection refused");
  CHECK(stateOf(backend) == "down");
  CHECK(collect({backend})[0].reason == "connection refused");
  CHECK(collect({backend})[0].since_unix_ns > 0);
  backend->setDraining(true);
  CHECK(stateOf(backend) == "draining");
  backend->apply({.id = "a", .name = "a", .host = "host", .enabled = false});
  CHECK(stateOf(backend) == "disabled");
  CHECK(stateOf(makeBackend("b", "no address")) == "unresolved");
}

TEST_CASE("The percentiles of a pool are those of all its backends together", "[app]") {
  const std::vector<std::shared_ptr<Backend>> backends = {makeBackend("a"), makeBackend("b", "10.0.0.2:80")};
  for (int i = 0; i < 90; ++i) backends[0]->counters(0).exchange_time.record(11'000'000);
  for (int i = 0; i < 10; ++i) backends[1]->counters(1).exchange_time.record(900'000'000);
  for (const auto& backend : backends) backend->counters(0).exchanges.add(50);
  std::vector<PoolStatus> pools(2);
  pools[0].name = "other";
  pools[1].name = Backend::kDefaultPool;
  (void)collectBackends(backends, Recent(0), 10 * kSecond, pools);
  CHECK(pools[0].exchange_time.samples == 0);
  const auto& pool = pools[1];
  CHECK(pool.exchange_time.samples == 100);
  CHECK(pool.exchange_time.p50 == Approx(11).epsilon(0.1));
  CHECK(pool.exchange_time.p95 > 800);
  CHECK(pool.rates.exchanges == Approx(10));
}

TEST_CASE("Status shows how the kernel forwards, where it does", "[app]") {
  CHECK(parsed(statusJson(StatusInput{}))->isNull("kernel"));
  StatusInput input;
  input.forwarding = {.table = "lb",
                      .queue = 19'533,
                      .tag = 19'534,
                      .up_to_date = true,
                      .asks = false,
                      .unasked = 3,
                      .event_losses = 4,
                      .packets = ForwardingStatus::Queue{.waiting = 5},
                      .conntrack = ForwardingStatus::Conntrack{.entries = 6, .most = 7}};
  const auto kernel = parsed(statusJson(input))->getObject("kernel");
  CHECK(kernel->getValue<std::string>("table") == "lb");
  CHECK(kernel->getValue<int>("queue") == 19'533);
  CHECK(kernel->getValue<int>("tag") == 19'534);
  CHECK(kernel->getValue<bool>("up_to_date"));
  CHECK_FALSE(kernel->getValue<bool>("asks"));
  CHECK(kernel->getValue<int>("unasked") == 3);
  CHECK(kernel->getValue<int>("event_losses") == 4);
  CHECK(kernel->getValue<int>("waiting") == 5);
  CHECK(kernel->getObject("conntrack")->getValue<int>("entries") == 6);
  CHECK(kernel->getObject("conntrack")->getValue<int>("limit") == 7);
  input.forwarding->packets.reset();
  input.forwarding->conntrack.reset();
  const auto hidden = parsed(statusJson(input))->getObject("kernel");
  CHECK(hidden->isNull("waiting"));
  CHECK(hidden->isNull("conntrack"));
}
