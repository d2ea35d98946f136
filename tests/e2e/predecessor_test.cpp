// SPDX-License-Identifier: MIT
//
// What a process has from those before it: that the sums are true, whoever ends first, and that nothing else depends on
// it, whatever a predecessor says.
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "e2e/visitors.h"
#include "support/facts.h"
#include "support/server.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace lemonade::test {

namespace {

/// Answers each line with its name, after a while.
Server::Handler answers(std::string name, Millis after = 0ms) {
  return [=](Socket& client) {
    while (!client.receiveLine().empty()) {
      std::this_thread::sleep_for(after);
      client.send(name + "\n");
    }
  };
}

/// Upgrades, and waits until the process before accepts nobody any more.
void upgradeWholly(Balancer& balancer) {
  const auto from = balancer.process().logSize();
  (void)upgrade(balancer);
  waitUntilStopping(balancer.process(), from);
}

std::string askOnce(Balancer& balancer) {
  Socket client = balancer.connect();
  client.send("hello\n");
  return client.receiveLine();
}

/// Asks once and leaves in order.
bool askAndLeave(Socket& client) {
  client.send("hello\n");
  const bool served = client.receiveLine() == "a";
  client.finishSending();
  (void)client.receiveAll();
  return served;
}

const std::array<std::string, 7> kCounters = {"lemonade_proxy_accepted_total",
                                              "lemonade_backend_sessions_total",
                                              "lemonade_backend_bytes_total",
                                              "lemonade_backend_exchanges_total",
                                              "lemonade_backend_exchange_seconds_count",
                                              "lemonade_backend_session_duration_seconds_count",
                                              "lemonade_config_reloads_total"};

/// Reads counters again and again, until end(): which of them went back.
class Reader {
 public:
  explicit Reader(Balancer& balancer) : thread_([this, &balancer] { run(balancer); }) {}
  ~Reader() { (void)end(); }
  std::string end() {
    end_ = true;
    if (thread_.joinable()) thread_.join();
    return went_back_;
  }

 private:
  void run(Balancer& balancer) try {
    std::map<std::string, double> last;
    while (!end_)
      for (const auto& name : kCounters) {
        const double now = balancer.metric(name);
        if (now < last[name])
          went_back_ += name + " from " + std::to_string(last[name]) + " to " + std::to_string(now) + "\n";
        last[name] = now;
      }
  } catch (const std::exception& e) {
    went_back_ += e.what();
  }

  std::atomic<bool> end_{false};
  std::string went_back_;
  std::thread thread_;
};

/// What the balancer is told to be the process before it.
class Predecessor {
 public:
  /// Tells a text once there is somebody to hear it, of `size` bytes where that is more; nothing: only listens.
  explicit Predecessor(std::optional<std::string> text = {}, off_t size = 0) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof(address.sun_path) - 1);
    listener_ = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(listener_, 1) == 0);
    thread_ = std::thread([this, text = std::move(text), size] {
      channel_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (text) tell(*text, size);
    });
  }
  ~Predecessor() {
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    for (const int fd : {listener_, channel_.load()})
      if (fd >= 0) ::close(fd);
  }
  /// Runs a command that has the other end by inheritance.
  Arguments wrapper() const {
    return {"python3", "-c",
            "import os, socket, sys\n"
            "end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "end.connect(sys.argv[1])\n"
            "os.dup2(end.detach(), 63)\n"
            "os.dup2(63, 3)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='lemonade-predecessor')\n"
            "os.execvp(sys.argv[2], sys.argv[2:])",
            path()};
  }
  void tell(const std::string& text, off_t size = 0) const {
    const int file = ::memfd_create("told", MFD_CLOEXEC);
    (void)!::write(file, text.data(), text.size());
    if (size != 0) (void)!::ftruncate(file, size);
    send("told\n", file);
    ::close(file);
  }
  /// Sends words and a descriptor.
  void send(std::string words, int fd) const {
    iovec part{words.data(), words.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(int));
    (void)::sendmsg(channel_, &header, MSG_NOSIGNAL);
  }

 private:
  std::string path() const { return (folder_.path() / "predecessor").string(); }

  TemporaryFolder folder_;
  int listener_ = -1;
  std::atomic<int> channel_{-1};
  std::thread thread_;
};

/// A balancer that served clients though its predecessor told this; what it said of that.
std::string startedAfter(const std::string& text, off_t size = 0) {
  Server server(named("a"));
  const Predecessor predecessor(text, size);
  Balancer balancer(Config().backend("a", server.address()), {}, predecessor.wrapper());
  CHECK(balancer.ask() == "a");
  CHECK(balancer.metric("lemonade_proxy_accepted_total") == 1);
  return field(balancer.process().waitForLog("the state of the process before cannot be had"), "reason");
}

}  // namespace

TEST_CASE("Counters never go back over upgrades under load and are true at the end", "[upgrade][succession]") {
  Server server(answers("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  (void)reload(balancer, supervised().set("proxy.retries", 7).backend("a", server.address()));
  Visitors askers(balancer.address(), askAndLeave);
  Reader reader(balancer);
  for (int i = 0; i < 3; ++i) {
    const int before = askers.served();
    REQUIRE(eventually([&] { return askers.served() > before + 50; }));
    (void)upgrade(balancer);
  }
  askers.end();
  CHECK(reader.end() == "");
  CHECK(askers.failed() == 0);
  const double all = askers.served();
  for (const auto* name :
       {"lemonade_proxy_accepted_total", "lemonade_backend_sessions_total", "lemonade_backend_exchanges_total",
        "lemonade_backend_exchange_seconds_count", "lemonade_backend_connect_seconds_count",
        "lemonade_backend_session_duration_seconds_count"}) {
    CAPTURE(name);
    CHECK(eventually([&] { return balancer.metric(name) == all; }));
  }
  CHECK(balancer.metric("lemonade_backend_bytes_total", {"direction=\"in\""}) == 6 * all);
  CHECK(balancer.metric("lemonade_backend_bytes_total", {"direction=\"out\""}) == 2 * all);
  CHECK(balancer.metric("lemonade_config_reloads_total", {"applied"}) == 1);
  CHECK(balancer.metric("lemonade_upgrades_total", {"completed"}) == 3);
}

TEST_CASE("What a process counts that drains arrives though the one after it loses its clients first",
          "[upgrade][succession]") {
  Server server(answers("a"));
  Balancer balancer(supervised().set("runtime.drain_timeout_millis", 60'000).backend("a", server.address()),
                    kSupervised);
  Socket first = balancer.connect();
  first.send("one\n");
  REQUIRE(first.receiveLine() == "a");
  upgradeWholly(balancer);
  Socket second = balancer.connect();
  second.send("one\n");
  REQUIRE(second.receiveLine() == "a");
  upgradeWholly(balancer);
  CHECK(eventually([&] { return balancer.metric("lemonade_draining_processes") == 2; }));
  CHECK(eventually([&] { return balancer.metric("lemonade_draining_sessions") == 2; }));
  for (Socket* client : {&first, &second}) {
    client->send("two\n");
    CHECK(client->receiveLine() == "a");
  }
  CHECK(eventually([&] { return balancer.metric("lemonade_backend_exchanges_total") == 4; }));
  second.close();
  CHECK(eventually([&] { return balancer.metric("lemonade_draining_sessions") == 1; }));
  first.send("three\n");
  CHECK(first.receiveLine() == "a");
  CHECK(eventually([&] { return balancer.metric("lemonade_backend_exchanges_total") == 5; }));
  first.close();
  CHECK(eventually([&] { return balancer.metric("lemonade_draining_processes") == 0; }));
  CHECK(balancer.metric("lemonade_backend_session_duration_seconds_count") == 2);
  CHECK(balancer.metric("lemonade_draining_sessions") == 0);
}

TEST_CASE("A slow backend stays known over an upgrade", "[upgrade][succession]") {
  Server slow(answers("slow", 200ms)), fast(answers("fast"));
  Balancer balancer(supervised()
                        .set("strategy.algorithm", "adaptive")
                        .set("runtime.workers", 1)
                        .backend("slow", slow.address())
                        .backend("fast", fast.address()),
                    kSupervised);
  REQUIRE(eventually([&] {
    (void)askOnce(balancer);
    return balancer.metric("lemonade_backend_exchanges_total", {"\"slow\""}) > 0 &&
           balancer.metric("lemonade_backend_exchanges_total", {"\"fast\""}) > 10;
  }));
  upgradeWholly(balancer);
  int slow_ones = 0;
  for (int i = 0; i < 100; ++i) slow_ones += askOnce(balancer) == "slow";
  CHECK(slow_ones <= 10);
}

TEST_CASE("A predecessor that tells nonsense costs what it knew and nothing else", "[upgrade][succession]") {
  CHECK_THAT(startedAfter("garbage"), Catch::Contains("it is no JSON"));
  CHECK_THAT(startedAfter(R"({"format":"lemonade-handover/1","totals":{"proxy":{"accepted":)"),
             Catch::Contains("it is no JSON"));
  CHECK_THAT(startedAfter(std::string(1'000'000, '[')), Catch::Contains("it is no JSON"));
  CHECK_THAT(startedAfter("[]"), Catch::Contains("it does not say what format it has"));
  CHECK_THAT(startedAfter(R"({"format":"lemonade-handover/2"})"), Catch::Contains("lemonade-handover/2"));
  CHECK_THAT(startedAfter("{", 1'000'000'000), Catch::Contains("it is too large"));
}

TEST_CASE("A predecessor that says nothing costs what it knew and nothing else", "[upgrade][succession]") {
  Server server(named("a"));
  const Predecessor hangs;
  Balancer balancer(Config().backend("a", server.address()), {}, hangs.wrapper());
  CHECK_THAT(balancer.process().waitForLog("the state of the process before cannot be had"),
             Catch::Contains("it did not answer in time"));
  CHECK(balancer.ask() == "a");
}

TEST_CASE("What a predecessor tells of others, or in other words, is skipped", "[upgrade][succession]") {
  Server server(named("a"));
  const std::string told =
      R"({"format":"lemonade-handover/1","accepting":false,"news":[1],
      "sink_totals":[{"sink":"prometheus","errors":9},{"sink":"other","errors":1}],
      "totals":{"proxy":{"accepted":5,"unheard":7}},"backends":[{"identity":1,"totals":{"sessions":1}}]})";
  const Predecessor predecessor(told);
  Balancer balancer(Config().backend("a", server.address()), {}, predecessor.wrapper());
  CHECK(balancer.ask() == "a");
  CHECK(balancer.metric("lemonade_proxy_accepted_total") == 6);
  CHECK(balancer.metric("lemonade_backend_sessions_total") == 1);
  CHECK(balancer.metric("lemonade_sink_errors_total") == 9);
  predecessor.tell("garbage");
  predecessor.tell(std::string(told).replace(told.find(":5"), 2, ":6"));
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_accepted_total") == 7; }));
}

}  // namespace lemonade::test
