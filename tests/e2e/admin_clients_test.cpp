// SPDX-License-Identifier: MIT
//
// The admin listener among clients that are slow, broken or hostile: everybody else is answered as if they were not
// there, and what is refused has no effect.
#include "support/balancer.h"
#include "support/server.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

namespace lemonade::test {
namespace {

/// The answer to any bytes; empty where the balancer closes without one.
std::string adminAnswer(Balancer& balancer, const std::string& bytes) {
  Socket socket = Socket::connect(balancer.adminAddress());
  socket.send(bytes);
  return socket.receiveAll();
}

std::string statusOf(const std::string& answer) { return answer.substr(0, answer.find("\r\n")); }

/// Asks so many times, a moment apart; how long the slowest answer took.
Millis slowestProbe(Balancer& balancer, const std::string& path, int times) {
  Millis slowest{0};
  for (int i = 0; i < times; ++i) {
    const Stopwatch stopwatch;
    CHECK(balancer.admin(path).status == 200);
    slowest = std::max(slowest, stopwatch.elapsed());
    std::this_thread::sleep_for(10ms);
  }
  return slowest;
}

const Millis kPrompt{static_cast<Millis::rep>(100 * timeFactor())};

Config withSlowSink(const Server& server) {
  return Config()
      .set("runtime.background_timeout_millis", 100)
      .raw("metrics.sinks", "[\"prometheus\", \"com.example.slow-scrape\"]")
      .raw("metrics.options", "{\"com.example.slow-scrape\" = {delay = \"1h\"}}")
      .set("metrics.interval", "1h")
      .backend("a", server.address());
}

}  // namespace

TEST_CASE("Probes are answered within 100 ms while 500 clients send a byte now and then", "[admin]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()));
  std::vector<Socket> slow;
  for (int i = 0; i < 500; ++i) slow.push_back(Socket::connect(balancer.adminAddress()));
  std::atomic<bool> stop{false};
  std::thread dribble([&] {
    const std::string text = "GET /healthz HTTP/1.1\r\nX: " + std::string(1'000, 'x');
    for (std::size_t at = 0; !stop; at = (at + 1) % text.size(), std::this_thread::sleep_for(20ms))
      for (auto& socket : slow) try {
          socket.sendSome(std::string_view(text).substr(at, 1));
        } catch (const std::exception&) {  // it had its time
        }
  });
  CHECK(slowestProbe(balancer, "/healthz", 80) < kPrompt);
  CHECK(slowestProbe(balancer, "/readyz", 20) < kPrompt);
  stop = true;
  dribble.join();
}

TEST_CASE("Probes and status and other sinks are answered while a sink hangs", "[admin]") {
  Server server(named("a"));
  Balancer balancer(withSlowSink(server));
  std::vector<Socket> stuck;
  for (int i = 0; i < 20; ++i) {
    stuck.push_back(Socket::connect(balancer.adminAddress()));
    stuck.back().send("GET /metrics/com.example.slow-scrape HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  CHECK(slowestProbe(balancer, "/healthz", 20) < kPrompt);
  CHECK(balancer.admin("/api/v1/status").status == 200);
  CHECK(balancer.admin("/metrics").status == 200);
  CHECK(balancer.admin("/metrics/prometheus").status == 200);
  CHECK(std::ranges::all_of(stuck, [](Socket& socket) { return socket.staysOpen(1ms); }));
}

TEST_CASE("Probes are answered while a reload takes its time", "[admin]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()));
  // While somebody writes the file a reload waits for the end of that.
  const Fd writer(::open((balancer.folder().path() / "lemonade.toml").c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(writer.get() >= 0);
  std::vector<Socket> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(Socket::connect(balancer.adminAddress()));
    waiting.back().send("POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  }
  CHECK(slowestProbe(balancer, "/healthz", 20) < kPrompt);
  for (auto& socket : waiting) {
    const auto answer = socket.receiveAll();
    CAPTURE(answer);
    CHECK(answer.starts_with("HTTP/1.1 422"));
  }
}

TEST_CASE("A request by an unknown name or of a foreign page is refused and has no effect", "[admin]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()));
  const auto post = [&](const std::string& headers) {
    return statusOf(adminAnswer(balancer, "POST /api/v1/reload HTTP/1.1\r\n" + headers + "Connection: close\r\n\r\n"));
  };
  const std::string host = "Host: " + balancer.adminAddress() + "\r\n";
  CHECK(post("Host: evil.example\r\n") == "HTTP/1.1 403 Forbidden");
  CHECK(post(host + "Origin: http://evil.example\r\n") == "HTTP/1.1 403 Forbidden");
  CHECK(post(host + "Origin: null\r\n") == "HTTP/1.1 403 Forbidden");
  CHECK(post("") == "HTTP/1.1 400 Bad Request");
  const auto get = adminAnswer(balancer, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
  CHECK(statusOf(get) == "HTTP/1.1 403 Forbidden");
  CHECK(get.find("hosts in [admin]") != std::string::npos);
  CHECK(balancer.status()->isNull("last_reload"));
  balancer.process().waitForLog("admin: a request was refused");
  CHECK(balancer.process().countLog("admin: a request was refused", 1) == 1);  // a minute has one line
  CHECK(post(host + "Origin: http://" + balancer.adminAddress() + "\r\n") == "HTTP/1.1 200 OK");
  CHECK(post("Host: localhost\r\n") == "HTTP/1.1 200 OK");
}

TEST_CASE("admin.hosts takes effect with a reload", "[admin]") {
  Server server(named("a"));
  const auto config = Config().backend("a", server.address());
  Balancer balancer(config);
  const auto asked = [&] {
    return statusOf(
        adminAnswer(balancer, "GET /healthz HTTP/1.1\r\nHost: lb.example:9090\r\nConnection: close\r\n\r\n"));
  };
  CHECK(asked() == "HTTP/1.1 403 Forbidden");
  balancer.folder().write("lemonade.toml", Config(config).raw("admin.hosts", "[\"lb.example\"]").text());
  CHECK(httpGet(balancer.adminAddress(), "/api/v1/reload", "POST").status == 200);
  CHECK(asked() == "HTTP/1.1 200 OK");
}

TEST_CASE("A request that two readers may understand differently reloads nothing", "[admin]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()));
  const std::string post = "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\n";
  for (const std::string bad :
       {"Content-Length: 0\r\nContent-Length: 0\r\n", "Content-Length: 0\r\nContent-Length: 1\r\n",
        "Content-Length: +0\r\n", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n", "X: a\r\n b\r\n", "X : a\r\n", "X: a\n", "nocolon\r\n",
        "Host: localhost\r\n"}) {
    const auto answer = adminAnswer(balancer, post + bad + "\r\n0\r\n\r\n" + post + "\r\n");
    CAPTURE(bad, answer);
    CHECK(answer.starts_with("HTTP/1.1 400"));
    CHECK(answer.find("HTTP/1.1", 1) == std::string::npos);
  }
  for (const std::string bad :
       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02", "GET / HTTP/1.1\nHost: localhost\n\n",
        "POST /api/v1/reload\r\n\r\n", "POST https://localhost/api/v1/reload HTTP/1.1\r\nHost: localhost\r\n\r\n"}) {
    const auto answer = adminAnswer(balancer, bad);
    CAPTURE(bad, answer);
    CHECK(answer.starts_with("HTTP/1.1 400"));
  }
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  CHECK(adminAnswer(balancer, chunked + "x\r\n").starts_with("HTTP/1.1 400"));
  CHECK(balancer.status()->isNull("last_reload"));
  CHECK(balancer.admin("/healthz").status == 200);
}

TEST_CASE("curl reads the metrics compressed as it reads them plain", "[admin]") {
  Server server(named("a"));
  Config config;
  for (int i = 0; i < 50; ++i) config.backend("backend-" + std::to_string(i), server.address(), "enabled = false");
  Balancer balancer(config);
  const auto read = [&](const std::string& option, const std::string& format) {
    return run({"curl", "-s", option, "-w", format, "http://" + balancer.adminAddress() + "/metrics"}).out;
  };
  const auto families = [](const std::string& text) {
    std::string names;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("# TYPE")) names += line + "\n";
    return names;
  };
  const auto plain = read("-sS", ""), compressed = read("--compressed", "");
  CHECK(families(plain).size() > 1'000);
  CHECK(families(plain) == families(compressed));
  const auto size = [&](const std::string& option) {
    return std::stod(run({"curl", "-s", option, "-o", "/dev/null", "-w", "%{size_download}",
                          "http://" + balancer.adminAddress() + "/metrics"})
                         .out);
  };
  CHECK(size("--compressed") * 5 < size("-sS"));
}

}  // namespace lemonade::test
