// SPDX-License-Identifier: MIT
//
// The real families: what they count, that Prometheus' own checker is content, and that docs/metrics.md knows them all.
#include "observe/families.h"

#include "metrics/publisher.h"
#include "observe/forwarding.h"
#include "unit/metrics/support.h"

#include <map>

using namespace lemonade;
using namespace lemonade::metrics::test;

namespace {

std::shared_ptr<Backend> makeBackend(const std::string& id, const std::string& name, const std::string& address) {
  const auto parsed = Address::parse(address);
  return std::make_shared<Backend>(config::Backend{.id = id, .name = name, .host = "host", .port = 80, .weight = 3},
                                   parsed.value_or(Address{}), 2);
}

/// Every counter of the backend different, on both workers.
void use(Backend& backend) {
  for (std::uint32_t worker = 0; worker < 2; ++worker) {
    auto& counters = backend.counters(worker);
    counters.sessions.add(1);
    counters.connect_refused.add(2);
    counters.connect_timeouts.add(3);
    counters.connect_errors.add(4);
    counters.resets.add(5);
    counters.early_closes.add(10);
    counters.idle_timeouts.add(6);
    counters.exchanges.add(7);
    counters.bytes_in.add(8);
    counters.bytes_out.add(9);
    counters.connect_time.record(200'000);
    counters.exchange_time.record(2'000'000);
    counters.duration.record(2'000'000'000);
  }
}

const ForwardingStatus kForwarding{.table = "lemonade",
                                   .queue = 19'533,
                                   .tag = 19'533,
                                   .up_to_date = true,
                                   .asks = true,
                                   .event_losses = 7,
                                   .packets = ForwardingStatus::Queue{.waiting = 8, .full = 9, .unreceived = 10},
                                   .conntrack = ForwardingStatus::Conntrack{.entries = 11, .most = 12}};

/// Everything the host ever publishes, in one snapshot.
std::shared_ptr<const metrics::Snapshot> fullSnapshot(const std::vector<std::shared_ptr<Backend>>& backends) {
  ListenerCounters listener;
  listener.accepted.add(22);
  listener.connect_failed.add(4);
  listener.full_ns.add(2'500'000'000);
  listener.unasked.add(3);
  listener.dropped_full.add(5);
  listener.dropped_queued.add(6);
  PoolCounters pool;
  pool.retries.add(3);
  pool.clients.add(21);
  pool.backend_resets.add(5);
  pool.full_ns.add(1'500'000'000);
  pool.picks_timed.add(2);
  pool.pick_ns.add(500);
  pool.queue_time.record(2'000'000'000);
  plugin::MetricCells cells;
  lemonade_metric_cell_t* cell = nullptr;
  REQUIRE(cells.find("com.example.ewma", LEMONADE_METRIC_COUNTER, "resets_total", "Resets.", &cell) == LEMONADE_OK);
  lemonade_metric_add(cell, 12);
  RecordingHost host;
  metrics::Publisher publisher(
      {[](auto& builder) {
         addProcess(builder, {.version = "0.1.0",
                              .abi = "1.0",
                              .last_upgrade_failed = true,
                              .deaths = 2,
                              .open_descriptors = 40,
                              .max_descriptors = 1'024,
                              .worker_lags_ns = {0, 250'000'000}});
       },
       [&](auto& builder) {
         const ListenerFacts listeners[] = {{"default", listener, 100, 200, true}, {"web", listener, 50, 50}};
         addListeners(builder, listeners);
         addForwarding(builder, kForwarding, listeners);
         const PoolFacts pools[] = {{"default", pool, true, 7, 0, 0, 0, "round_robin", 120'000'000},
                                    {"web", pool, false}};
         addPools(builder, pools);
       },
       [&](auto& builder) { addBackends(builder, backends); },
       [&](auto& builder) { addPluginMetrics(builder, cells); }},
      nullptr);
  publisher.configure({.interval = 1h}, {loadSink("prometheus", host)});
  const auto snapshot = publisher.snapshot();
  publisher.stop(10s);
  return snapshot;
}

/// The lines of a Prometheus text, by what is left of the value.
std::map<std::string, std::string> linesOf(const std::string& text) {
  std::map<std::string, std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (line[0] != '#') CHECK(lines.emplace(line.substr(0, line.rfind(' ')), line.substr(line.rfind(' ') + 1)).second);
  return lines;
}

}  // namespace

TEST_CASE("Families of backends add up the workers", "[app]") {
  const auto backend = makeBackend("1", "web", "10.0.0.1:80");
  use(*backend);
  backend->apply({.id = "1", .name = "web", .host = "host", .weight = 3, .max_connections = 50, .enabled = true});
  backend->setHealth(false, "refused");
  RecordingHost host;
  auto lines = linesOf(rendered(loadSink("prometheus", host), *fullSnapshot({backend})));
  const std::string labels = "{pool=\"default\",backend=\"1\",name=\"web\",address=\"10.0.0.1:80\"";
  const auto value = [&](const std::string& name, const std::string& more = "") {
    return lines["lemonade_backend_" + name + labels + more + "}"];
  };
  CHECK(value("up") == "0");
  CHECK(value("enabled") == "1");
  CHECK(value("draining") == "0");
  CHECK(value("weight") == "3");
  CHECK(value("max_connections") == "50");
  CHECK(value("active_sessions") == "0");
  CHECK(value("sessions_total") == "2");
  CHECK(value("connect_failures_total", ",reason=\"refused\"") == "4");
  CHECK(value("connect_failures_total", ",reason=\"timeout\"") == "6");
  CHECK(value("connect_failures_total", ",reason=\"error\"") == "8");
  CHECK(value("resets_total") == "10");
  CHECK(value("idle_timeouts_total") == "12");
  CHECK(value("errors_total", ",reason=\"refused\"") == "4");
  CHECK(value("errors_total", ",reason=\"timeout\"") == "6");
  CHECK(value("errors_total", ",reason=\"error\"") == "8");
  CHECK(value("errors_total", ",reason=\"reset\"") == "10");
  CHECK(value("errors_total", ",reason=\"early_close\"") == "20");
  CHECK(value("exchanges_total") == "14");
  CHECK(value("bytes_total", ",direction=\"in\"") == "16");
  CHECK(value("bytes_total", ",direction=\"out\"") == "18");
  CHECK(value("connect_seconds_count") == "2");
  CHECK(value("connect_seconds_bucket", ",le=\"0.0001\"") == "0");
  CHECK(value("connect_seconds_bucket", ",le=\"0.00025\"") == "2");
  CHECK(value("exchange_seconds_sum") == "0.004");
  CHECK(value("session_duration_seconds_bucket", ",le=\"+Inf\"") == "2");
  CHECK(lines["lemonade_proxy_accepted_total{listener=\"default\"}"] == "22");
  CHECK(lines["lemonade_proxy_max_connections{listener=\"default\"}"] == "100");
  CHECK(lines["lemonade_proxy_max_connections{listener=\"web\"}"] == "50");
  CHECK(lines["lemonade_proxy_retries_total{pool=\"web\"}"] == "3");
  CHECK(lines["lemonade_proxy_unserved_total{pool=\"web\",reason=\"no_backend\"}"] == "0");
  CHECK(lines["lemonade_health_checks_total{pool=\"default\"}"] == "7");
  CHECK(lines["lemonade_health_checks_enabled{pool=\"web\"}"] == "0");
  CHECK(lines["lemonade_plugin_resets_total{plugin=\"com.example.ewma\"}"] == "12");
  CHECK(lines["lemonade_listener_configured_max_connections{listener=\"default\"}"] == "200");
  CHECK(lines["lemonade_listener_errors_total{listener=\"web\",reason=\"connect_failed\"}"] == "4");
  CHECK(lines["lemonade_listener_full_seconds_total{listener=\"web\"}"] == "2.5");
  CHECK(lines["lemonade_pool_clients_total{pool=\"web\"}"] == "21");
  CHECK(lines["lemonade_pool_errors_total{pool=\"web\",reason=\"reset\"}"] == "5");
  CHECK(lines["lemonade_pool_full_seconds_total{pool=\"web\"}"] == "1.5");
  CHECK(lines["lemonade_pool_queue_seconds_sum{pool=\"web\"}"] == "2");
  const std::string plugin = "{pool=\"default\",plugin=\"round_robin\"}";
  CHECK(lines["lemonade_pool_timed_picks_total" + plugin] == "2");
  CHECK(lines["lemonade_pool_timed_pick_seconds_total" + plugin] == "0.0000005");
  CHECK(lines["lemonade_pool_slowest_pick_seconds" + plugin] == "0.12");
  CHECK(lines["lemonade_last_upgrade_success"] == "0");
  CHECK(lines["lemonade_deaths_total"] == "2");
  CHECK(lines["process_open_fds"] == "40");
  CHECK(lines["process_max_fds"] == "1024");
  CHECK(lines["lemonade_worker_lag_seconds{worker=\"1\"}"] == "0.25");
  CHECK(lines["lemonade_build_info{version=\"0.1.0\",abi=\"1.0\"}"] == "1");
}

TEST_CASE("Families of forwarding are those of listeners that the kernel forwards for", "[app]") {
  RecordingHost host;
  auto lines = linesOf(rendered(loadSink("prometheus", host), *fullSnapshot({})));
  CHECK(lines["lemonade_kernel_table_up_to_date"] == "1");
  CHECK(lines["lemonade_kernel_asks"] == "1");
  CHECK(lines["lemonade_kernel_event_losses_total"] == "7");
  CHECK(lines["lemonade_kernel_unasked_total{listener=\"default\"}"] == "3");
  CHECK_FALSE(lines.contains("lemonade_kernel_unasked_total{listener=\"web\"}"));
  const std::string dropped = "lemonade_kernel_first_packets_dropped_total{listener=\"default\",reason=";
  CHECK(lines[dropped + "\"listener_full\"}"] == "5");
  CHECK(lines[dropped + "\"queue_full\"}"] == "6");
  CHECK(lines["lemonade_kernel_queue_packets"] == "8");
  CHECK(lines["lemonade_kernel_queue_dropped_total{reason=\"full\"}"] == "9");
  CHECK(lines["lemonade_kernel_queue_dropped_total{reason=\"unreceived\"}"] == "10");
  CHECK(lines["lemonade_kernel_conntrack_entries"] == "11");
  CHECK(lines["lemonade_kernel_conntrack_limit"] == "12");
}

TEST_CASE("What the kernel does not show of its load has no series", "[app]") {
  metrics::SnapshotBuilder builder;
  addForwarding(builder, {.table = "lemonade"}, {});
  const auto snapshot = builder.build(0, 0);
  std::string names;
  for (std::uint32_t i = 0; i < snapshot->raw().family_count; ++i)
    names += text(lemonade_snapshot_family(&snapshot->raw(), i)->name) + "\n";
  CHECK_THAT(names, Catch::Contains("lemonade_kernel_asks\n"));
  CHECK_THAT(names, !Catch::Contains("queue") && !Catch::Contains("conntrack"));
}

TEST_CASE("A backend that does not resolve is not up and one without samples has no histogram", "[app]") {
  const auto backend = makeBackend("1", "web", "no address");
  RecordingHost host;
  const auto text = rendered(loadSink("prometheus", host), *fullSnapshot({backend}));
  CHECK_THAT(text, Catch::Contains(
                       "lemonade_backend_up{pool=\"default\",backend=\"1\",name=\"web\",address=\"host:80\"} 0\n"));
  CHECK_THAT(text, !Catch::Contains("lemonade_backend_connect_seconds_bucket"));
}

TEST_CASE("promtool has no complaint about the real families", "[app]") {
  const std::vector<std::shared_ptr<Backend>> backends = {makeBackend("1", "web", "10.0.0.1:80"),
                                                          makeBackend("2", "quoted \" \\ \n \x01 é", "[::1]:80"),
                                                          makeBackend("unresolved", "", "")};
  for (const auto& backend : backends) use(*backend);
  RecordingHost host;
  CHECK(promtoolComplaints(rendered(loadSink("prometheus", host), *fullSnapshot(backends))) == "");
}

TEST_CASE("Every family is documented", "[app]") {
  std::ostringstream page;
  page << std::ifstream(std::string(LEMONADE_SOURCE_DIR) + "/docs/metrics.md").rdbuf();
  const auto backend = makeBackend("1", "web", "10.0.0.1:80");
  use(*backend);
  const auto snapshot = fullSnapshot({backend});
  CHECK(snapshot->raw().family_count > 30);
  const std::map<std::uint32_t, std::string> types = {
      {LEMONADE_METRIC_COUNTER, "counter"}, {LEMONADE_METRIC_GAUGE, "gauge"}, {LEMONADE_METRIC_HISTOGRAM, "histogram"}};
  for (std::uint32_t i = 0; i < snapshot->raw().family_count; ++i) {
    const auto& family = *lemonade_snapshot_family(&snapshot->raw(), i);
    if (text(family.name).starts_with("lemonade_plugin_")) continue;
    CHECK_THAT(page.str(), Catch::Contains("\n| `" + text(family.name) + "` | " + types.at(family.type) + " |"));
  }
}

TEST_CASE("The queries of the page name families that exist", "[app]") {
  std::ostringstream page;
  page << std::ifstream(std::string(LEMONADE_SOURCE_DIR) + "/docs/metrics.md").rdbuf();
  const auto backend = makeBackend("1", "web", "10.0.0.1:80");
  use(*backend);
  RecordingHost host;
  const auto metrics = rendered(loadSink("prometheus", host), *fullSnapshot({backend}));
  const auto text = page.str();
  const auto part = text.substr(text.find("\n## Questions"));
  int names = 0;
  for (auto at = part.find("lemonade_"); at != std::string::npos; at = part.find("lemonade_", at + 1), ++names) {
    const auto end = part.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at);
    CHECK_THAT(metrics, Catch::Contains("\n" + part.substr(at, end - at)));
  }
  CHECK(names > 5);
}

TEST_CASE("Thousands of backends are rendered in reasonable time", "[app]") {
  std::vector<std::shared_ptr<Backend>> backends;
  for (int i = 0; i < 5'000; ++i)
    backends.push_back(makeBackend(std::to_string(i), "backend-" + std::to_string(i), "10.0.0.1:80"));
  RecordingHost host;
  const auto sink = loadSink("prometheus", host);
  const auto begin = nowNs();
  metrics::SnapshotBuilder builder;
  addBackends(builder, backends);
  const auto snapshot = builder.build(0, 0);
  CHECK(rendered(sink, *snapshot).size() > 1'000'000);
  CHECK(nowNs() - begin < 20'000'000'000u);
}

TEST_CASE("What operators override of a backend is a series for each action", "[app]") {
  const auto backend = makeBackend("1", "web", "10.0.0.1:80");
  backend->setOverrides({{.action = Override::Action::kWeight, .value = 5}, {.action = Override::Action::kDrain}});
  RecordingHost host;
  const auto text = rendered(loadSink("prometheus", host), *fullSnapshot({backend}));
  const std::string labels = "{pool=\"default\",backend=\"1\",name=\"web\",address=\"10.0.0.1:80\"";
  CHECK_THAT(text, Catch::Contains("lemonade_backend_override" + labels + ",action=\"weight\"} 1\n"));
  CHECK_THAT(text, Catch::Contains("lemonade_backend_override" + labels + ",action=\"drain\"} 1\n"));
  CHECK_THAT(text, Catch::Contains("lemonade_backend_weight" + labels + "} 5\n"));
  CHECK_THAT(text, Catch::Contains("lemonade_backend_draining" + labels + "} 1\n"));
}
