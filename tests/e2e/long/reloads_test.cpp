// SPDX-License-Identifier: MIT
//
// Reloads and swaps under load: no request fails, nothing piles up. LEMONADE_TEST_RELOADS is how many changes of the
// configuration there are; from 200 on, the gaps between answers are held to their bounds, too.
#include "e2e/reloading.h"
#include "support/server.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <functional>
#include <mutex>
#include <thread>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

int reloads() {
  const char* text = std::getenv("LEMONADE_TEST_RELOADS");
  return text == nullptr ? 20 : std::max(4, std::atoi(text));
}

/// One request to a server of http(), whose name is one character; the name, or throws.
char request(Socket& socket) {
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
      } catch (const std::exception& e) {
        failures_.push_back(e.what());
        if (failures_.size() > 10) return;
        socket.close();
      }
  }

  const std::string address_;
  const bool keep_alive_;
  std::atomic<bool> stopping_{false};
  std::vector<double> gaps_;
  std::vector<std::string> failures_;
  std::thread thread_;
};

/// A balancer whose configuration and strategy a test changes again and again.
class Restless {
 public:
  Restless() : balancer(config(0)) {}

  /// The configuration after that many changes. Backends a and z always serve.
  Config config(int change) const {
    const auto every = [change](int n) { return change / n % 2 == 1; };
    Config config = watched();
    config.raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]")
        .set("runtime.drain_timeout_millis", 600'000)
        .set("strategy.algorithm", swappable(change) ? "com.example.always" : "round_robin")
        .set("proxy.max_connections", 1'000 + change)
        .set("proxy.retries", every(3) ? 1 : 2)
        .set("proxy.connect_timeout", every(2) ? "3s" : "4s")
        .set("log.level", every(4) ? "info,access=debug" : "info")
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
    write(balancer, config(number));
    if (number % 2 == 0) balancer.process().signal(SIGHUP);
    REQUIRE(eventually([&] { return balancer.status()->getValue<int>("max_connections") == 1'000 + number; }, 20s));
  }

  /// Puts other code in the place of the running strategy and waits until it picks; its bytes are new each time.
  void swap(int number) {
    const bool to_last = number % 2 == 0;
    const int before = strategy(balancer)->getValue<int>("generation");
    place(to_last ? "always_last" : "always_first", number);
    REQUIRE(eventually([&] { return strategy(balancer)->getValue<int>("generation") > before; }, 20s));
    Socket client = balancer.connect();
    CHECK(request(client) == (to_last ? 'z' : 'a'));
  }

  Server a{http("a")}, m{http("m")}, z{http("z")};
  const TemporaryFolder folder;
  const bool placed = place("always_first", -1);
  Balancer balancer;

 private:
  bool place(const std::string& version, int number) const {
    const fs::path file = folder.path() / "always.so";
    const fs::path from = fs::path(LEMONADE_SWAPPED_FOLDER) / (version + ".so");
    const bool by_rename = number % 4 >= 2;
    const fs::path to = file.string() + (by_rename ? ".new" : "");
    {
      std::ofstream stream(to, std::ios::binary | std::ios::trunc);
      stream << std::ifstream(from, std::ios::binary).rdbuf() << "swap " << number;
    }
    fs::permissions(to, fs::perms{0644});
    if (by_rename) fs::rename(to, file);
    return true;
  }
};

std::size_t entries(const std::string& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

/// What a process holds.
struct Holdings {
  explicit Holdings(pid_t pid)
      : descriptors(entries("/proc/" + std::to_string(pid) + "/fd")),
        threads(entries("/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
    std::size_t size = 0, resident = 0;
    statm >> size >> resident;
    megabytes = static_cast<double>(resident * static_cast<std::size_t>(::getpagesize())) / (1 << 20);
  }

  std::size_t descriptors, threads;
  double megabytes = 0;
};

}  // namespace

TEST_CASE("Clients at full speed see no failure while configuration and strategy change all the time", "[reload]") {
  Restless restless;
  Client kept(restless.balancer.address(), true), fresh(restless.balancer.address(), false);
  const int changes = reloads();
  for (int change = 1; change <= changes; ++change) {
    restless.change(change);
    if (Restless::swappable(change)) restless.swap(change);
  }
  kept.stop();
  fresh.stop();
  for (Client* client : {&kept, &fresh}) {
    CHECK(client->failures() == std::vector<std::string>());
    CHECK(client->answers() > static_cast<std::size_t>(changes));
    WARN(client->answers() << " answers, gaps: 99.9 % under " << client->gap(0.001) << " ms, longest "
                           << client->gap(0) << " ms");
    if (changes < 200 || timeFactor() > 1) continue;
    CHECK(client->gap(0.001) < 50);
    CHECK(client->gap(0) < 250);
  }
  CHECK(generation(restless.balancer) > changes);
}

TEST_CASE("Reloads leave no descriptor and no thread behind and memory bounded", "[reload]") {
  Restless restless;
  auto& process = restless.balancer.process();
  // 60 and 6,000 are the same configuration in all that takes descriptors and threads.
  for (int change = 1; change <= 20; ++change) restless.change(change);
  restless.change(60);
  const Holdings before(process.pid());
  const int rounds = reloads() < 200 ? 50 : 1'000;
  for (int i = 1; i <= rounds; ++i) restless.change(60 + i);
  restless.change(6'000);
  CHECK(eventually([&] { return Holdings(process.pid()).descriptors <= before.descriptors; }));
  // The admin listener keeps a thread or two more for a while after many requests.
  CHECK(eventually([&] { return Holdings(process.pid()).threads <= before.threads + 2; }));
  // Sanitizers keep what is freed.
  if (!LEMONADE_SANITIZED) CHECK(Holdings(process.pid()).megabytes < before.megabytes + 8);
}

}  // namespace lemonade::test
