// SPDX-License-Identifier: MIT
//
// The examples of plugin-api/examples at work in the real balancer: the strategies in front of real servers, the
// checker against a real Redis, the sink with a real UDP socket.
#include "e2e/reloading.h"
#include "support/redis.h"
#include "support/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <vector>

namespace lemonade::test {
namespace {

/// A configuration that sees the examples.
Config exampled() {
  return unwatched().raw("plugins.directories",
                         "[\"" + testPluginFolder() + "\", \"" + std::string(LEMONADE_EXAMPLES_FOLDER) + "\"]");
}

/// Three servers that greet with their names.
struct Three {
  Server a{named("a")}, b{named("b")}, c{named("c")};

  Config behind(const Config& config, const std::string& of_b = "", const std::string& of_c = "") const {
    return Config(config).backend("a", a.address()).backend("b", b.address(), of_b).backend("c", c.address(), of_c);
  }
};

/// Sessions that stay open.
class Held {
 public:
  explicit Held(Balancer& balancer) : balancer_(balancer) {}
  /// Opens one from an address of this machine; who greets.
  std::string open(const std::string& from = "") {
    sockets_.push_back(Socket::connect(balancer_.address(), from));
    return sockets_.back().receiveLine();
  }
  void closeFirst() { sockets_.erase(sockets_.begin()); }

 private:
  Balancer& balancer_;
  std::vector<Socket> sockets_;
};

/// Whom each of so many client addresses is given.
std::string answers(Balancer& balancer, int clients) {
  std::string names;
  for (int i = 1; i <= clients; ++i)
    names += Socket::connect(balancer.address(), "127.0.1." + std::to_string(i) + ":0").receiveLine();
  return names;
}

Config redisChecked(const Redis& redis, const std::string& options) {
  return exampled()
      .realChecks()
      .set("health.checker", "com.example.redis_ping")
      .set("health.interval", "50ms")
      .set("health.timeout", "500ms")
      .raw("health.options", options)
      .backend("a", redis.address());
}

/// Waits until the backend is up or down; why.
std::string reasonOnce(Balancer& balancer, const std::string& state) {
  Poco::JSON::Object::Ptr backend;
  const bool came =
      eventually([&] { return (backend = balancer.backend("a"))->getValue<std::string>("state") == state; }, 20s);
  return came ? backend->optValue<std::string>("reason", "") : "it is not " + state;
}

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

  int port() const { return portOf(localAddressOf(fd_.get())); }

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

Config reportedTo(int port, const std::string& more) {
  return exampled()
      .set("metrics.interval", "100ms")
      .raw("metrics.sinks", "[\"prometheus\", \"com.example.statsd\"]")
      .raw("metrics.options.\"com.example.statsd\"", "{port = " + std::to_string(port) + more + "}");
}

}  // namespace

TEST_CASE("The C strategy fills one backend after the other and then takes the emptiest", "[examples]") {
  const Three three;
  Balancer balancer(three.behind(
      exampled().set("strategy.algorithm", "com.example.fill_first").raw("strategy.options", "{sessions = 2}"),
      "weight = 2"));
  Held held(balancer);
  std::string order;
  for (int i = 0; i < 8; ++i) order += held.open();
  CHECK(order == "aabbbbcc");
  CHECK(held.open() == "a");  // all are full, and all alike for their weight
  held.closeFirst();
  held.closeFirst();
  REQUIRE(eventually([&] { return balancer.active("a") == 1; }));
  CHECK(held.open() == "a");
}

TEST_CASE("The Maglev example brings a client to the same backend and moves hardly any when one leaves", "[examples]") {
  const Three three;
  const auto config =
      exampled().set("strategy.algorithm", "com.example.maglev").raw("strategy.options", "{load_factor = 100}");
  Balancer balancer(three.behind(config));
  const auto before = answers(balancer, 40);
  CHECK(answers(balancer, 40) == before);
  for (const char name : {'a', 'b', 'c'}) CHECK(std::count(before.begin(), before.end(), name) >= 2);
  reload(balancer, three.behind(config, "enabled = false"));
  const auto after = answers(balancer, 40);
  CHECK(std::count(after.begin(), after.end(), 'b') == 0);
  int moved = 0;
  for (std::size_t i = 0; i < before.size(); ++i) moved += before[i] != 'b' && after[i] != before[i] ? 1 : 0;
  CHECK(moved <= 2);  // only those of b had to
}

TEST_CASE("The Maglev example bounds what one client can bring upon a backend", "[examples]") {
  const Three three;
  Balancer balancer(three.behind(exampled().set("strategy.algorithm", "com.example.maglev")));
  Held held(balancer);
  std::string order;
  for (int i = 0; i < 24; ++i) order += held.open("127.0.1.1:0");
  for (const char name : {'a', 'b', 'c'}) {
    const auto sessions = std::count(order.begin(), order.end(), name);
    CHECK(sessions >= 4);
    CHECK(sessions <= 10);  // 1.25 * 24 / 3
  }
}

TEST_CASE("The read-write example sends writes to the primary and shares out reads by its option", "[examples]") {
  Three servers;
  const std::string primary = "labels = { role = \"primary\" }\noptions = { read_share = 0 }";
  const auto config = [&](const std::string& of_b, const std::string& of_c) {
    return servers.behind(exampled().set("strategy.algorithm", "com.example.read_write"), of_b, of_c)
        .listener("write", "default");
  };
  Balancer balancer(config(primary, "options = { read_share = 3 }").realChecks());
  REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_up") == 3; }));
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask("write") == "b");
  std::string reads;
  for (int i = 0; i < 60; ++i) reads += balancer.ask("default");
  CHECK(std::count(reads.begin(), reads.end(), 'b') == 0);
  CHECK(std::count(reads.begin(), reads.end(), 'a') > 0);
  CHECK(std::count(reads.begin(), reads.end(), 'c') > 30);  // of 45 that are expected

  servers.b.stop();
  CHECK(eventually([&] { return balancer.ask("write").empty(); }));  // no other takes writes
  reload(balancer, config("", primary).realChecks());                // another one is the primary from now on
  CHECK(balancer.ask("write") == "c");
}

TEST_CASE("The Redis example follows a real server and says what that answers instead of PONG", "[examples]") {
  Redis redis;
  const std::string password = "se cret\"\r\n$1";
  Balancer open(redisChecked(redis, "{}"));
  CHECK(reasonOnce(open, "up").empty());
  CHECK(redis.cli({"config", "set", "requirepass", password}) == "OK\n");
  CHECK(reasonOnce(open, "down") == "answered \"-NOAUTH Authentication required.\"");

  Balancer known(redisChecked(redis, R"({password = "se cret\"\r\n$1"})"));
  CHECK(reasonOnce(known, "up").empty());
  Balancer wrong(redisChecked(redis, "{password = \"guess\"}"));
  CHECK(reasonOnce(wrong, "down").find("answered \"-WRONGPASS") == 0);
  CHECK(redis.cli({"-a", password, "acl", "setuser", "probe", "on", ">word", "+ping"}).find("OK") == 0);
  Balancer user(redisChecked(redis, "{username = \"probe\", password = \"word\"}"));
  CHECK(reasonOnce(user, "up").empty());

  redis.process().signal(SIGSTOP);
  CHECK(reasonOnce(known, "down").find("timed out") == 0);
  redis.process().signal(SIGCONT);
  CHECK(reasonOnce(known, "up").empty());
}

TEST_CASE("The Redis example takes nothing but Redis for alive", "[examples]") {
  Server web([](Socket& client) {
    client.receiveLine();
    client.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    client.receiveAll();
  });
  Balancer balancer(
      exampled().realChecks().set("health.checker", "com.example.redis_ping").backend("a", web.address()));
  CHECK(reasonOnce(balancer, "down") == "answered \"HTTP/1.1 400 Bad Request\"");
}

TEST_CASE("The statsd example sends counters as differences and gauges and timers", "[examples]") {
  Listener statsd;
  Server a(named("a"));
  Balancer balancer(reportedTo(statsd.port(), ", prefix = \"lb1.\"").backend("a", a.address()));
  // What comes before its first flush is not its business.
  REQUIRE(statsd.until([&] { return statsd.knows("lb1.lemonade_backend_up"); }));
  Held held(balancer);
  for (int i = 0; i < 7; ++i) CHECK(held.open() == "a");
  CHECK(statsd.until([&] {
    return statsd.count("lb1.lemonade_backend_sessions_total.default.a") == 7 &&
           statsd.gauge("lb1.lemonade_backend_active_sessions.default.a") == 7 &&
           std::round(statsd.samples("lb1.lemonade_backend_connect_seconds.default.a")) == 7;
  }));
  for (int i = 0; i < 2; ++i) held.open();
  CHECK(statsd.until([&] { return statsd.gauge("lb1.lemonade_backend_active_sessions.default.a") == 9; }));
  const auto seen = statsd.datagrams().size();
  REQUIRE(statsd.until([&] { return statsd.datagrams().size() > seen + 6; }));
  CHECK(statsd.count("lb1.lemonade_backend_sessions_total.default.a") == 9);
  CHECK(balancer.metric("lemonade_backend_sessions_total", {"backend=\"a\""}) == 9);
  CHECK(statsd.broken().empty());
  for (const auto& datagram : statsd.datagrams()) CHECK(datagram.size() <= 1'432);
}

TEST_CASE("The statsd example fills its datagrams with whole lines", "[examples]") {
  Listener statsd;
  auto config = reportedTo(statsd.port(), ", datagram_bytes = 512");
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

TEST_CASE("The statsd example counts nothing twice over a reload", "[examples]") {
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

TEST_CASE("The statsd example says that its server is away and goes on when that is back", "[examples]") {
  const auto port = freePort();
  Server a(named("a"));
  Balancer balancer(reportedTo(std::stoi(port), "").backend("a", a.address()));
  balancer.process().waitForLog("Connection refused");
  CHECK(eventually([&] { return balancer.metric("lemonade_sink_errors_total", {"com.example.statsd"}) > 0; }));
  Listener statsd(port);
  CHECK(statsd.until([&] { return statsd.knows("lemonade_backend_up"); }));
}

TEST_CASE("Options of the statsd example that cannot be used are named with their line", "[examples]") {
  const auto refusalOf = [](const std::string& options) {
    const TemporaryFolder folder;
    const auto file =
        folder.write("lemonade.toml", reportedTo(8125, ", " + options).backend("a", "127.0.0.1:1").text());
    const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
    CHECK(outcome.code == 1);
    CHECK(outcome.err.find("lemonade.toml:") != std::string::npos);
    return outcome.err;
  };
  CHECK(contains(refusalOf("host = 7"), "host must be a string"));
  CHECK(contains(refusalOf("datagram_bytes = 70000"), "datagram_bytes must be from 512 to 65507"));
  CHECK(contains(refusalOf("prefxi = \"x\""), "has no option \"prefxi\""));
  CHECK(contains(refusalOf("prefix = \"a:b\""), "leave out"));
}

}  // namespace lemonade::test
