// SPDX-License-Identifier: MIT
//
// A balancer that changes all the time and clients that never rest, for the runs under load. LEMONADE_TEST_RELOADS is
// how many changes of the configuration a run has.
#pragma once

#include "e2e/reloading.h"
#include "support/server.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace lemonade::test {

inline int reloads() {
  const char* text = std::getenv("LEMONADE_TEST_RELOADS");
  return text == nullptr ? 20 : std::max(4, std::atoi(text));
}

/// From here on a run is the long one.
inline bool longRun() { return reloads() >= 200; }

/// True where every misdeed of a plugin is to be tried, which takes many minutes: LEMONADE_TEST_MISDEEDS is "all".
inline bool everyMisdeed() {
  const char* text = std::getenv("LEMONADE_TEST_MISDEEDS");
  return text != nullptr && std::string_view(text) == "all";
}

/// One request to a server of http(), whose name is one character; the name, or throws.
inline char request(Socket& socket) {
  static const std::string kHead = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n";
  socket.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  const std::string answer = socket.receive(kHead.size() + 1);
  if (answer.size() != kHead.size() + 1 || !answer.starts_with(kHead))
    throw std::runtime_error("the answer was \"" + answer + "\"");
  return answer.back();
}

/// Sends one request after another, on one connection or each on its own, until it is destroyed.
class Client {
 public:
  Client(std::string address, bool keep_alive)
      : address_(std::move(address)), keep_alive_(keep_alive), thread_([this] { run(); }) {}
  ~Client() { stop(); }

  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

  /// Answers so far; any time.
  std::size_t served() const { return served_; }

  // After stop():
  const std::vector<std::string>& failures() const { return failures_; }
  std::size_t answers() const { return gaps_.size(); }
  /// The longest time between two answers, in milliseconds, of all but the given share of the longest.
  double gap(double share_left_out) {
    std::sort(gaps_.begin(), gaps_.end());
    const auto left_out = static_cast<std::size_t>(static_cast<double>(gaps_.size()) * share_left_out);
    return gaps_.empty() ? 0 : gaps_[gaps_.size() - 1 - left_out];
  }

 private:
  void run() {
    auto last = std::chrono::steady_clock::now();
    Socket socket;
    while (!stopping_) try {
        if (socket.fd() < 0) socket = Socket::connect(address_);
        request(socket);
        if (!keep_alive_) socket.close();
        const auto now = std::chrono::steady_clock::now();
        gaps_.push_back(std::chrono::duration<double, std::milli>(now - last).count());
        last = now;
        ++served_;
      } catch (const std::exception& e) {
        failures_.push_back(e.what());
        if (failures_.size() > 10) return;
        socket.close();
      }
  }

  const std::string address_;
  const bool keep_alive_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> served_{0};
  std::vector<double> gaps_;
  std::vector<std::string> failures_;
  std::thread thread_;
};

/// One client that keeps its connection and one that does not, at full speed.
class Load {
 public:
  explicit Load(Balancer& balancer) : kept_(balancer.address(), true), fresh_(balancer.address(), false) {}

  /// Ends it; no request may have failed, and in a long run the answers must have come evenly.
  void check(int changes) {
    kept_.stop();
    fresh_.stop();
    for (Client* client : {&kept_, &fresh_}) {
      CHECK(client->failures() == std::vector<std::string>());
      CHECK(client->answers() > static_cast<std::size_t>(changes));
      WARN(client->answers() << " answers, gaps: 99.9 % under " << client->gap(0.001) << " ms, longest "
                             << client->gap(0) << " ms");
      if (!longRun() || timeFactor() > 1) continue;
      CHECK(client->gap(0.001) < 50);
      CHECK(client->gap(0) < 250);
    }
  }

  /// Answers so far; any time.
  std::size_t served() const { return kept_.served() + fresh_.served(); }
  /// Of the client that had fewer.
  std::size_t leastServed() const { return std::min(kept_.served(), fresh_.served()); }

 private:
  Client kept_, fresh_;
};

/// Two versions of one strategy: one takes the first backend, the other the last.
struct Versions {
  std::string id, first, last;
};

/// A balancer whose configuration and strategy a test changes again and again.
class Restless {
 public:
  explicit Restless(Versions of = {"com.example.always", LEMONADE_SWAPPED_FOLDER "/always_first.so",
                                   LEMONADE_SWAPPED_FOLDER "/always_last.so"},
                    const Environment& environment = {})
      : versions(std::move(of)),
        placed(place(contentOf(versions.first), true)),
        balancer(config(0), withOwnLevel(environment)) {}

  /// The configuration after that many changes. Backends a and z always serve.
  Config config(int change) const {
    const auto every = [change](int n) { return change / n % 2 == 1; };
    Config config = watched();
    config.raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]")
        .set("runtime.drain_timeout_millis", 600'000)
        .set("runtime.accept_timeout_millis", 700'000)
        .set("strategy.algorithm", swappable(change) ? versions.id : "round_robin")
        .set("proxy.max_connections", 1'000 + change)
        .set("proxy.retries", every(3) ? 1 : 2)
        .set("proxy.connect_timeout", every(2) ? "3s" : "4s")
        .set("log.level", every(4) ? "info,health=debug" : "info")
        .backend("a", a.address(), "weight = " + std::to_string(1 + change % 7));
    if (every(2)) config.raw("proxy.listen_address", "[\"127.0.0.1:0\", \"[::1]:0\"]");
    if (every(3)) config.raw("metrics.sinks", "[\"prometheus\", \"log\"]").set("metrics.interval", "1h");
    if (!every(1)) config.backend("m", m.address(), every(2) ? "enabled = false" : "");
    return config.backend("z", z.address(), "weight = " + std::to_string(1 + change % 3));
  }

  /// True where the strategy of that change is the one that swap() replaces.
  static bool swappable(int change) { return change / 5 % 2 == 0; }

  /// Changes the configuration and waits until that has taken effect.
  void change(int number) {
    const int before = generation(balancer);
    write(balancer, config(number));
    if (number % 2 == 0) balancer.process().signal(SIGHUP);
    REQUIRE(eventually([&] { return generation(balancer) > before; }, 20s));
    REQUIRE(balancer.status()->getValue<int>("max_connections") == 1'000 + number);
  }

  /// Puts other code in the place of the running strategy and waits until it picks; its bytes are new each time.
  void swap(int number) {
    const bool to_last = number % 2 == 0;
    const int before = strategy(balancer)->getValue<int>("generation");
    place(contentOf(to_last ? versions.last : versions.first) + "swap " + std::to_string(number), number % 4 >= 2);
    REQUIRE(eventually([&] { return strategy(balancer)->getValue<int>("generation") > before; }, 20s));
    INFO(balancer.process().err());
    CHECK(picked() == (to_last ? 'z' : 'a'));
  }

  /// Who serves a new client now.
  char picked() {
    Socket client = balancer.connect();
    return request(client);
  }

  /// Gives the file of the strategy that content, in place or by a rename.
  bool place(const std::string& content, bool by_rename) const {
    const std::filesystem::path to = file() + (by_rename ? ".new" : "");
    std::ofstream(to, std::ios::binary | std::ios::trunc) << content;
    std::filesystem::permissions(to, std::filesystem::perms{0644});
    if (by_rename) std::filesystem::rename(to, file());
    return true;
  }
  std::string file() const { return (folder.path() / "strategy.so").string(); }

  static std::string contentOf(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  /// The level is the configuration's: a line for each connection would be the larger part of the load.
  static Environment withOwnLevel(Environment environment) {
    environment["LEMONADE_LOG"] = "";
    return environment;
  }

  Server a{http("a")}, m{http("m")}, z{http("z")};
  const TemporaryFolder folder;
  const Versions versions;
  const bool placed;
  Balancer balancer;
};

}  // namespace lemonade::test
