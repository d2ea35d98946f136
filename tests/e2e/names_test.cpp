// SPDX-License-Identifier: MIT
//
// Names of backends, resolved by the system's own resolver: a small DNS server of the test answers on 127.0.0.1:53 of a
// network of its own, which the balancer finds through an /etc/resolv.conf of its own. Needs root.
#include "support/balancer.h"
#include "support/privilege.h"
#include "support/server.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <mutex>
#include <thread>

namespace lemonade::test {
namespace {

/// Answers questions for IPv4 addresses over UDP (RFC 1035); each name has its addresses or a code. Any thread.
class Dns {
 public:
  static constexpr int kServfail = 2;
  static constexpr int kNxdomain = 3;

  Dns() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), stop_(::eventfd(0, EFD_CLOEXEC)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(53);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0) throw std::runtime_error("bind 53");
    thread_ = std::thread([this] { serve(); });
  }
  ~Dns() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof(one));
    thread_.join();
  }

  /// last are the last numbers of addresses 127.0.0.x.
  void answer(std::vector<std::uint8_t> last) { set(0, std::move(last)); }
  void fail(int code) { set(code, {}); }
  /// Questions for IPv4 addresses so far.
  unsigned asked() const { return asked_; }

 private:
  void set(int code, std::vector<std::uint8_t> last) {
    std::lock_guard lock(mutex_);
    code_ = code;
    last_ = std::move(last);
  }

  void serve() {
    while (true) {
      pollfd ready[] = {{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      ::poll(ready, 2, -1);
      if (ready[1].revents != 0) return;
      char question[512];
      sockaddr_in from{};
      socklen_t size = sizeof(from);
      const auto got =
          ::recvfrom(socket_.get(), question, sizeof(question), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 17) continue;
      const auto answer = answerTo(std::string_view(question, static_cast<std::size_t>(got)));
      ::sendto(socket_.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }

  std::string answerTo(std::string_view question) {
    // Header of 12 bytes, then the name up to its empty label, type and class.
    const auto end = question.find('\0', 12) + 5;
    const bool ipv4 = question[end - 3] == 1;
    std::lock_guard lock(mutex_);
    if (ipv4) ++asked_;
    const auto count = ipv4 && code_ == 0 ? last_.size() : 0;
    std::string answer(question.substr(0, end));
    answer[2] = static_cast<char>(0x81);  // an answer, recursion desired
    answer[3] = static_cast<char>(0x80 | code_);
    answer[6] = 0;
    answer[7] = static_cast<char>(count);
    std::fill(answer.begin() + 8, answer.begin() + 12, '\0');
    for (std::size_t i = 0; i < count; ++i)
      // The name of the question, A, IN, 0 seconds, 4 bytes.
      answer += std::string("\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0", 15) + static_cast<char>(last_[i]);
    return answer;
  }

  Fd socket_;
  Fd stop_;
  std::thread thread_;
  std::atomic<unsigned> asked_{0};
  std::mutex mutex_;  // guards what follows
  int code_ = 0;
  std::vector<std::uint8_t> last_;
};

/// Runs the balancer with a resolv.conf and a hosts file of its own.
Arguments withResolver(const TemporaryFolder& folder) {
  const auto conf = folder.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
  const auto hosts = folder.write("hosts", "127.0.0.1 localhost\n");
  const auto nss = folder.write("nsswitch.conf", "hosts: files dns\n");
  return {"unshare",
          "-m",
          "--propagation",
          "private",
          "sh",
          "-c",
          "mount --bind " + conf + " /etc/resolv.conf && mount --bind " + hosts + " /etc/hosts && mount --bind " + nss +
              " /etc/nsswitch.conf && exec \"$@\"",
          "sh"};
}

/// True where what these tests do to the system is possible.
bool possible() {
  if (!isRoot() || !installed("unshare")) return false;
  const TemporaryFolder folder;
  auto command = withResolver(folder);
  command.push_back("true");
  return run(command).code == 0;
}

/// Servers on one port of 127.0.0.1, .2 and .3 that greet with their address.
struct Servers {
  Server a{named("1")};
  std::string port = std::to_string(portOf(a.address()));
  Server b{named("2"), "127.0.0.2:" + port};
  Server c{named("3"), "127.0.0.3:" + port};
};

/// Who answers eight connections, sorted, each once.
std::string whoAnswers(Balancer& balancer) {
  std::map<std::string, int> names;
  for (int i = 0; i < 8; ++i) ++names[balancer.ask()];
  std::string all;
  for (const auto& [name, times] : names) all += name;
  return all;
}

Config byName(const Servers& servers) {
  return Config().set("proxy.resolve_interval", "100ms").backend("app", "app.example:" + servers.port);
}

}  // namespace

TEST_CASE("Addresses of a name become backends and come and go with it", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.answer({1, 2});
    const TemporaryFolder folder;
    Balancer balancer(byName(servers), {}, withResolver(folder));
    CHECK(whoAnswers(balancer) == "12");
    auto client = balancer.connect();
    REQUIRE_FALSE(client.receiveLine().empty());

    dns.answer({3, 2});
    balancer.process().waitForLog("resolve: a name has new addresses");
    CHECK(eventually([&] { return whoAnswers(balancer) == "23"; }));
    // A session on an address that left goes on.
    CHECK(client.staysOpen(50ms));

    // The same addresses in another order are no change.
    const auto asked = dns.asked();
    dns.answer({2, 3});
    REQUIRE(eventually([&] { return dns.asked() >= asked + 3; }));
    CHECK(balancer.process().countLog("resolve: a name has new addresses") == 1);
  });
}

TEST_CASE("A name that fails keeps its last good addresses and is complained about once", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  const int code = GENERATE(Dns::kServfail, Dns::kNxdomain);
  inOwnNetwork([code] {
    Dns dns;
    Servers servers;
    dns.answer({1, 3});
    const TemporaryFolder folder;
    Balancer balancer(byName(servers), {}, withResolver(folder));
    CHECK(whoAnswers(balancer) == "13");
    dns.fail(code);
    const auto line = balancer.process().waitForLog("resolve: a name does not resolve");
    CHECK(field(line, "name") == "app.example");
    CHECK(field(line, "in_use") == "127.0.0.1,127.0.0.3");
    const auto asked = dns.asked();
    REQUIRE(eventually([&] { return dns.asked() >= asked + 3; }));
    CHECK(whoAnswers(balancer) == "13");
    CHECK(balancer.process().countLog("resolve: a name does not resolve") == 1);
    dns.answer({1, 3});
    balancer.process().waitForLog("resolve: a name resolves again");
    dns.answer({2});
    balancer.process().waitForLog("resolve: a name has new addresses");
    CHECK(eventually([&] { return whoAnswers(balancer) == "2"; }));
  });
}

TEST_CASE("A name that resolves late brings its backends up", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.fail(Dns::kServfail);
    const TemporaryFolder folder;
    Balancer balancer(byName(servers), {}, withResolver(folder));
    CHECK(balancer.backend("app")->getValue<std::string>("state") == "unresolved");
    dns.answer({1, 2, 3});
    balancer.process().waitForLog("resolve: a name has new addresses");
    CHECK(eventually([&] { return whoAnswers(balancer) == "123"; }));
  });
}

TEST_CASE("A reload changes how often names are resolved", "[names]") {
  if (!possible()) return skip("it takes root and mount namespaces");
  inOwnNetwork([] {
    Dns dns;
    Servers servers;
    dns.answer({1});
    const TemporaryFolder folder;
    Balancer balancer(byName(servers).set("proxy.resolve_interval", "1h"), {}, withResolver(folder));
    const auto asked = dns.asked();
    balancer.folder().write("lemonade.toml", byName(servers).text());
    balancer.process().signal(SIGHUP);
    CHECK(eventually([&] { return dns.asked() >= asked + 5; }));
  });
}

}  // namespace lemonade::test
