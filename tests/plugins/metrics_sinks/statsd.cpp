// SPDX-License-Identifier: MIT
#include "plugins/metrics_sinks/receiver.h"
#include "support/sink_fixture.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

using namespace lemonade::test;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What a sink sends of the second of two snapshots.
Strings sent(SnapshotText first, SnapshotText second, std::map<std::string, std::string> options = {}) {
  const Receiver receiver(AF_INET);
  options.emplace("address", receiver.address());
  SinkFixture sink(LEMONADE_PLUGIN, options);
  CHECK(sink.flush(first) == "");
  receiver.datagrams();
  CHECK(sink.flush(second) == "");
  return receiver.lines();
}

SnapshotText bytesOf(double value) {
  SnapshotText text;
  text.counter("bytes_total").series(value, {{"pool", "web"}, {"address", "10.0.0.1:80"}});
  return text;
}

SnapshotText secondsOf(std::uint64_t fast, std::uint64_t slow, std::uint64_t slowest) {
  SnapshotText text;
  text.histogram("h_seconds").series({{0.001, fast}, {0.005, slow}, {kInfinity, slowest}}, 1, {{"pool", "a"}});
  return text;
}

std::string refusal(const std::map<std::string, std::string>& options) {
  try {
    const SinkFixture sink(LEMONADE_PLUGIN, options);
    return "";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

}  // namespace

TEST_CASE("counters are sent as what came since the snapshot before", "[sink]") {
  CHECK(sent(bytesOf(100), bytesOf(142)) == Strings{"bytes_total.web.10_0_0_1_80:42|c"});
  CHECK(sent(bytesOf(100), bytesOf(100)).empty());
  CHECK(sent(bytesOf(100), bytesOf(7)) == Strings{"bytes_total.web.10_0_0_1_80:7|c"});  // it began anew
  CHECK(sent(SnapshotText(), bytesOf(7)) == Strings{"bytes_total.web.10_0_0_1_80:7|c"});
}

TEST_CASE("labels are parts of the name or tags of either dialect", "[sink]") {
  CHECK(sent(bytesOf(1), bytesOf(2), {{"tags", "dogstatsd"}}) ==
        Strings{"bytes_total:1|c|#pool:web,address:10.0.0.1:80"});
  CHECK(sent(bytesOf(1), bytesOf(2), {{"tags", "influx"}, {"prefix", "lb1."}}) ==
        Strings{"lb1.bytes_total,pool=web,address=10.0.0.1_80:1|c"});
}

TEST_CASE("what would end a name or a tag is mended", "[sink]") {
  SnapshotText text;
  text.gauge("g").series(1, {{"name", "a|b#c,d=e:f.g h\n\xc3\xa9"}, {"empty", ""}});
  CHECK(sent({}, text) == Strings{"g.a_b_c_d_e_f_g_h___._:1|g"});
  CHECK(sent({}, text, {{"tags", "dogstatsd"}}) == Strings{"g:1|g|#name:a_b_c_d_e:f.g h_\xc3\xa9"});
  CHECK(sent({}, text, {{"tags", "influx"}}) == Strings{"g,name=a_b_c_d_e_f.g_h_\xc3\xa9:1|g"});
}

TEST_CASE("gauges below zero go down from zero, and by themselves for dogstatsd", "[sink]") {
  SnapshotText text;
  text.gauge("g").series(-2.5).series(std::nan(""), {{"no", "number"}});
  CHECK(sent({}, text) == Strings{"g:0|g", "g:-2.5|g"});
  CHECK(sent({}, text, {{"tags", "dogstatsd"}}) == Strings{"g:-2.5|g"});
}

TEST_CASE("histograms are a timer for each bucket that got samples, with a rate for how many", "[sink]") {
  CHECK(sent(secondsOf(1, 1, 0), secondsOf(5, 2, 2)) ==
        Strings{"h_seconds.a:1|ms|@0.25", "h_seconds.a:5|ms", "h_seconds.a:5|ms|@0.5"});
  CHECK(sent(secondsOf(1, 1, 0), secondsOf(5, 1, 0), {{"tags", "dogstatsd"}}) ==
        Strings{"h_seconds:1|ms|@0.25|#pool:a"});
}

TEST_CASE("histograms as percentiles are those of the interval", "[sink]") {
  CHECK(sent(secondsOf(9, 9, 9), secondsOf(19, 19, 9), {{"histograms", "percentiles"}}) ==
        Strings{"h_seconds.count.a:20|c", "h_seconds.p50.a:1|g", "h_seconds.p95.a:4.6|g", "h_seconds.p99.a:4.92|g"});
  CHECK(sent(secondsOf(9, 9, 9), secondsOf(9, 9, 9), {{"histograms", "percentiles"}}).empty());
}

TEST_CASE("datagrams are full of whole lines, and lines that fit into none are counted", "[sink]") {
  const Receiver receiver(AF_INET);
  SinkFixture sink(LEMONADE_PLUGIN, {{"address", receiver.address()}, {"packet_bytes", "512"}});
  SnapshotText text;
  text.gauge("level");
  for (int i = 0; i < 100; ++i) text.series(i, {{"backend", "backend-" + std::to_string(i)}});
  text.series(1, {{"backend", std::string(600, 'x')}});
  CHECK(sink.flush(text) == "");
  const auto datagrams = receiver.datagrams();
  CHECK(datagrams.size() == 5);
  for (const auto& datagram : datagrams) {
    CHECK(datagram.size() <= 512);
    CHECK(datagram.find("level.backend-") == 0);
  }
  CHECK(sink.metric("statsd_lines_too_long_total") == 1);
}

TEST_CASE("a server that is away is reported, its datagrams are counted, and it is found when it is back", "[sink]") {
  SnapshotText text;
  text.gauge("g").series(1);
  int port = 0;
  {
    const Receiver gone(AF_INET);
    port = gone.port();
  }
  SinkFixture sink(LEMONADE_PLUGIN, {{"address", "127.0.0.1:" + std::to_string(port)}});
  CHECK(sink.flush(text) == "");  // the network says so only afterwards
  CHECK_THAT(sink.flush(text), Catch::Contains("Connection refused"));
  CHECK(sink.metric("statsd_datagrams_dropped_total") == 1);
  const Receiver back(AF_INET, port);
  CHECK_THAT(sink.flush(text), Catch::Contains("Connection refused"));  // of the time before
  CHECK(back.lines() == Strings{"g:1|g"});                              // and yet this came
  CHECK(sink.flush(text) == "");
}

TEST_CASE("IPv6 and names reach the server", "[sink]") {
  SnapshotText text;
  text.gauge("g").series(1);
  const Receiver four(AF_INET);
  SinkFixture named(LEMONADE_PLUGIN, {{"address", "localhost:" + std::to_string(four.port())}});
  const auto problem = named.flush(text);
  const auto lines = four.lines();
  if (lines.empty()) WARN("localhost is ::1 first here: " << problem);
  CHECK((lines.empty() || lines == Strings{"g:1|g"}));
  const Receiver six(AF_INET6);
  SinkFixture numbered(LEMONADE_PLUGIN, {{"address", "[::1]:" + std::to_string(six.port())}});
  CHECK(numbered.flush(text) == "");
  CHECK(six.lines() == Strings{"g:1|g"});
}

TEST_CASE("a name that is not found is reported and holds nothing up for long", "[sink]") {
  SnapshotText text;
  text.gauge("g").series(1);
  SinkFixture sink(LEMONADE_PLUGIN, {{"address", "absent.invalid:8125"}});
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THAT(sink.flush(text), Catch::Contains("absent.invalid"));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(8));
  CHECK(sink.metric("statsd_datagrams_dropped_total") == 1);
}

TEST_CASE("a Unix socket is opened again when its server was restarted", "[sink]") {
  const std::string path = "/tmp/lemonade-statsd-" + std::to_string(::getpid());
  SnapshotText text;
  text.gauge("g").series(1);
  SinkFixture sink(LEMONADE_PLUGIN, {{"address", "unix:" + path}});
  CHECK_THAT(sink.flush(text), Catch::Contains("No such file"));
  for (int i = 0; i < 2; ++i) {
    const Receiver receiver(path);
    CHECK(sink.flush(text) == "");
    CHECK(receiver.lines() == Strings{"g:1|g"});
    std::remove(path.c_str());
  }
}

TEST_CASE("a Unix socket that nobody reads costs the rest of a flush and a second", "[sink]") {
  const std::string path = "/tmp/lemonade-statsd-full-" + std::to_string(::getpid());
  const Receiver receiver(path);
  SnapshotText text;
  text.gauge("level");
  for (int i = 0; i < 20'000; ++i) text.series(i, {{"backend", std::to_string(i)}});
  SinkFixture sink(LEMONADE_PLUGIN, {{"address", "unix:" + path}});
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THAT(sink.flush(text), Catch::Contains("does not keep up"));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(8));
  const auto came = static_cast<std::int64_t>(receiver.datagrams().size());
  CHECK(came >= 1);
  CHECK(sink.metric("statsd_datagrams_dropped_total") >= 100);
  std::remove(path.c_str());
}

TEST_CASE("addresses and prefixes that cannot be are refused with what is expected", "[sink]") {
  for (const char* address :
       {"", "host", "host:", "host:0", "host:65536", ":8125", "::1:8125", "[::1]", "[host]:1", "a b:1", "host:81x"})
    CHECK_THAT(refusal({{"address", address}}), Catch::StartsWith("address: give \"host:port\""));
  CHECK_THAT(refusal({{"address", "unix:relative"}}), Catch::Contains("begins with \"/\""));
  CHECK_THAT(refusal({{"address", "unix:/" + std::string(200, 'x')}}), Catch::Contains("at most 107 bytes"));
  CHECK_THAT(refusal({{"prefix", "a:b"}}), Catch::StartsWith("prefix: give letters"));
  CHECK(refusal({{"address", "statsd.example:8125"}, {"prefix", "lb-1.eu_west."}}) == "");
}
