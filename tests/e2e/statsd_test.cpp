// SPDX-License-Identifier: MIT
//
// The shipped statsd sink in the real balancer, with a real UDP socket at the other end. tests/deploy/receivers.sh has
// the real daemon there.
#include "e2e/reloading.h"
#include "support/server.h"
#include "support/socket.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace lemonade::test {
namespace {

/// A statsd server: one UDP socket, and what its datagrams came to.
class Listener {
 public:
  explicit Listener(const std::string& port = "0") {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
    const auto* any = reinterpret_cast<const sockaddr*>(&address);
    if (!fd_ || ::bind(fd_.get(), any, sizeof(address)) != 0) throw std::runtime_error("no UDP socket");
  }

  std::string port() const { return std::to_string(portOf(localAddressOf(fd_.get()))); }

  /// Takes datagrams until the condition holds; false where it does not in time.
  template <class Condition>
  bool until(Condition condition) {
    const Deadline deadline(10s);
    while (!condition()) {
      pollfd ready{fd_.get(), POLLIN, 0};
      if (::poll(&ready, 1, deadline.remainingMillis()) <= 0) return false;
      take();
    }
    return true;
  }

  /// The sum of the counters, or the last value of the gauge, whose name contains `part`; of timers how many samples.
  double count(const std::string& part) const { return sum(counts_, part); }
  double gauge(const std::string& part) const { return sum(gauges_, part); }
  double samples(const std::string& part) const { return sum(samples_, part); }
  bool knows(const std::string& part) const {
    return std::any_of(gauges_.begin(), gauges_.end(), [&](const auto& one) { return contains(one.first, part); });
  }
  const std::vector<std::string>& datagrams() const { return datagrams_; }
  const std::vector<std::string>& broken() const { return broken_; }

 private:
  using Values = std::map<std::string, double>;

  static double sum(const Values& values, const std::string& part) {
    double sum = 0;
    for (const auto& [name, value] : values)
      if (contains(name, part)) sum += value;
    return sum;
  }

  void take() {
    char bytes[65'536];
    const auto size = ::recv(fd_.get(), bytes, sizeof(bytes), 0);
    if (size <= 0) throw std::runtime_error("nothing was received");
    datagrams_.emplace_back(bytes, static_cast<std::size_t>(size));
    std::string_view rest = datagrams_.back();
    while (!rest.empty()) {
      const auto end = std::min(rest.find('\n'), rest.size());
      read(std::string(rest.substr(0, end)));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

  /// "name:value|type" and, of a timer, "|@rate".
  void read(const std::string& line) {
    const auto colon = line.find(':'), bar = line.find('|', colon);
    if (colon == std::string::npos || bar == std::string::npos) return broken_.push_back(line);
    const auto name = line.substr(0, colon), type = line.substr(bar + 1);
    const double value = std::stod(line.substr(colon + 1, bar - colon - 1));
    const auto rate = type.find("|@");
    if (type == "c")
      counts_[name] += value;
    else if (type == "g")
      gauges_[name] = value;
    else if (type.substr(0, rate) == "ms")
      samples_[name] += rate == std::string::npos ? 1 : 1 / std::stod(type.substr(rate + 2));
    else
      broken_.push_back(line);
  }

  Fd fd_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::vector<std::string> datagrams_, broken_;
  Values counts_, gauges_, samples_;
};

Config reportedTo(const std::string& port, const std::string& more = "") {
  return unwatched()
      .set("metrics.interval", "100ms")
      .raw("metrics.sinks", "[\"prometheus\", \"statsd\"]")
      .raw("metrics.options.statsd", "{address = \"127.0.0.1:" + port + "\"" + more + "}");
}

}  // namespace

TEST_CASE("The statsd sink sends counters as differences and gauges and timers", "[sinks]") {
  Listener statsd;
  Server a(named("a"));
  Balancer balancer(reportedTo(statsd.port(), ", prefix = \"lb1.\"").backend("a", a.address()));
  // What comes before its first flush is not its business.
  REQUIRE(statsd.until([&] { return statsd.knows("lb1.lemonade_backend_up"); }));
  std::vector<Socket> held;
  const auto open = [&](int clients) {
    for (int i = 0; i < clients; ++i) {
      held.push_back(Socket::connect(balancer.address()));
      CHECK(held.back().receiveLine() == "a");
    }
  };
  open(7);
  CHECK(statsd.until([&] {
    return statsd.count("lb1.lemonade_backend_sessions_total.default.a") == 7 &&
           statsd.gauge("lb1.lemonade_backend_active_sessions.default.a") == 7 &&
           std::round(statsd.samples("lb1.lemonade_backend_connect_seconds.default.a")) == 7;
  }));
  open(2);
  CHECK(statsd.until([&] { return statsd.gauge("lb1.lemonade_backend_active_sessions.default.a") == 9; }));
  const auto seen = statsd.datagrams().size();
  REQUIRE(statsd.until([&] { return statsd.datagrams().size() > seen + 6; }));
  CHECK(statsd.count("lb1.lemonade_backend_sessions_total.default.a") == 9);
  CHECK(balancer.metric("lemonade_backend_sessions_total", {"backend=\"a\""}) == 9);
  CHECK(statsd.broken().empty());
  for (const auto& datagram : statsd.datagrams()) CHECK(datagram.size() <= 1'432);
}

TEST_CASE("The statsd sink fills its datagrams with whole lines", "[sinks]") {
  Listener statsd;
  auto config = reportedTo(statsd.port(), ", packet_bytes = 512");
  for (int i = 0; i < 30; ++i) config.backend("web-" + std::to_string(i), "127.0.0.1:1");
  Balancer balancer(config);
  REQUIRE(statsd.until([&] { return statsd.datagrams().size() >= 60; }));
  std::size_t full = 0;
  for (const auto& datagram : statsd.datagrams()) {
    CHECK(datagram.size() <= 512);
    full += datagram.size() > 512 - 100 ? 1 : 0;  // the next line, of under 100 bytes, did not fit
  }
  CHECK(full >= statsd.datagrams().size() * 9 / 10);
  CHECK(statsd.broken().empty());
}

TEST_CASE("The statsd sink counts nothing twice over a reload", "[sinks]") {
  Listener statsd;
  Server a(named("a"));
  Balancer balancer(reportedTo(statsd.port(), ", prefix = \"before.\"").backend("a", a.address()));
  REQUIRE(statsd.until([&] { return statsd.knows("before."); }));
  for (int i = 0; i < 3; ++i) CHECK(balancer.ask() == "a");
  REQUIRE(statsd.until([&] { return statsd.count("sessions_total.default.a") == 3; }));
  reload(balancer, reportedTo(statsd.port(), ", prefix = \"after.\"").backend("a", a.address()));
  REQUIRE(statsd.until([&] { return statsd.knows("after."); }));
  for (int i = 0; i < 2; ++i) CHECK(balancer.ask() == "a");
  CHECK(statsd.until([&] { return statsd.count("after.lemonade_backend_sessions_total.default.a") == 2; }));
  CHECK(statsd.count("before.lemonade_backend_sessions_total.default.a") == 3);
}

TEST_CASE("The statsd sink says that its server is away and goes on when that is back", "[sinks]") {
  const auto port = Listener().port();
  Server a(named("a"));
  Balancer balancer(reportedTo(port).backend("a", a.address()));
  balancer.process().waitForLog("Connection refused");
  CHECK(eventually([&] { return balancer.metric("lemonade_sink_errors_total", {"sink=\"statsd\""}) > 0; }));
  Listener statsd(port);
  CHECK(statsd.until([&] { return statsd.knows("lemonade_backend_up"); }));
}

TEST_CASE("Options of the statsd sink that cannot be used are named with their line", "[sinks]") {
  const auto refusalOf = [](const std::string& options) {
    const TemporaryFolder folder;
    const auto file =
        folder.write("lemonade.toml", reportedTo("8125", ", " + options).backend("a", "127.0.0.1:1").text());
    const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
    CHECK(outcome.code == 1);
    CHECK(outcome.err.find("lemonade.toml:") != std::string::npos);
    return outcome.err;
  };
  CHECK(contains(refusalOf("tags = 7"), "tags must be one of the choices, as a string"));
  CHECK(contains(refusalOf("tags = \"x\""), "must be one of none,dogstatsd,influx"));
  CHECK(contains(refusalOf("packet_bytes = 70000"), "packet_bytes must be from 512 to 65507"));
  CHECK(contains(refusalOf("prefxi = \"x\""), "has no option \"prefxi\""));
  CHECK(contains(refusalOf("prefix = \"a:b\""), "give letters, digits"));
}

}  // namespace lemonade::test
