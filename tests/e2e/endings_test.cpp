// SPDX-License-Identifier: MIT
//
// Behaviour "Bytes", how streams end: what was read to its end is complete, what was taken is delivered, and who is
// gone holds nothing.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/pattern.h"
#include "support/privilege.h"
#include "support/server.h"

#include <linux/filter.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <future>
#include <sstream>

namespace lemonade::test {
namespace {

constexpr std::size_t kMiB = 1024 * 1024;

void pause(Millis time) { ::poll(nullptr, 0, static_cast<int>(time.count())); }

/// True where the bytes are the pattern's from a position on.
bool areOf(const Pattern& pattern, std::size_t position, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto expected = pattern.at(position, bytes.size());
    if (bytes.substr(0, expected.size()) != expected) return false;
    position += expected.size();
    bytes.remove_prefix(expected.size());
  }
  return true;
}

/// What arrives until the peer ends, and how it ended. Reads so many bytes a second, or as they come.
struct Received {
  std::size_t size = 0;
  bool right = true;
  bool reset = false;
};
Received receiveToTheEnd(Socket& socket, unsigned seed, std::size_t per_second = 0) {
  Received all;
  const Pattern pattern(seed);
  std::string bytes(per_second == 0 ? 65'536 : per_second / 20, '\0');
  try {
    while (const std::size_t n = socket.receiveSome(bytes.data(), bytes.size())) {
      all.right = all.right && areOf(pattern, all.size, std::string_view(bytes).substr(0, n));
      all.size += n;
      if (per_second != 0) pause(50ms);
    }
  } catch (const ResetError&) {
    all.reset = true;
  }
  return all;
}

void setSysctl(const std::string& path, int value) { std::ofstream("/proc/sys/" + path) << value; }

/// From now on the socket hears nothing from its peer, as where a cable was cut.
void cutOff(const Socket& socket) {
  sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{1, &drop};
  REQUIRE(::setsockopt(socket.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
}

/// The access log's line of a session with this field.
std::string sessionLine(Balancer& balancer, const std::string& with) {
  std::string found;
  (void)eventually([&] {
    std::istringstream log(balancer.process().err());
    for (std::string line; std::getline(log, line);)
      if (line.find("session closed") != std::string::npos && line.find(with) != std::string::npos) found = line;
    return !found.empty();
  });
  return found;
}

Received resultOf(std::promise<Received>& promise) {
  auto result = promise.get_future();
  REQUIRE(result.wait_for(20s) == std::future_status::ready);
  return result.get();
}

/// More than the peer's window, less than what the kernels hold on the way.
constexpr std::size_t kSize = 1'000'000;

void checkComplete(const Received& received) {
  CHECK(received.size == kSize);
  CHECK(received.right);
  CHECK_FALSE(received.reset);
}

double resets(Balancer& balancer) {
  return balancer.metric("lemonade_backend_resets_total") + balancer.metric("lemonade_proxy_client_resets_total");
}

/// A backend that sends the pattern once it is asked, and closes in order.
Server::Handler sendsAndCloses(std::size_t size) {
  return [size](Socket& socket) {
    if (socket.receive(1).empty()) return;
    transmit(socket, Pattern(1), 0, size);
  };
}

}  // namespace

TEST_CASE("An answer is complete although its backend leaves FIN_WAIT2 before the client has read it",
          "[bytes][relayed]") {
  if (!isRoot()) return skip("needs root for a network of its own");
  inOwnNetwork([] {
    setSysctl("net/ipv4/tcp_fin_timeout", 1);
    Server server(sendsAndCloses(kSize));
    Balancer balancer(Config().set("proxy.tcp_keepalive", "1s").backend("a", server.address()));
    Socket client = balancer.connect();
    client.send("?");
    REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_bytes_total", {"out"}) != 0; }));
    REQUIRE(eventually([&] { return server.live() == 0; }));
    pause(3500ms);
    checkComplete(receiveToTheEnd(client, 1));
    client.close();
    CHECK(field(sessionLine(balancer, "bytes_out=" + std::to_string(kSize)), "reason") == "done");
    CHECK(resets(balancer) == 0);
  });
}

TEST_CASE("An upload is complete although its client leaves FIN_WAIT2 before the backend has read it",
          "[bytes][relayed]") {
  if (!isRoot()) return skip("needs root for a network of its own");
  inOwnNetwork([] {
    setSysctl("net/ipv4/tcp_fin_timeout", 1);
    std::promise<Received> received;
    Server server([&](Socket& socket) {
      if (socket.next() == End::kClosed) return;
      pause(3500ms);
      received.set_value(receiveToTheEnd(socket, 1));
    });
    Balancer balancer(Config().set("proxy.tcp_keepalive", "1s").backend("a", server.address()));
    Socket client = balancer.connect();
    transmit(client, Pattern(1), 0, kSize);
    client.close();
    checkComplete(resultOf(received));
    CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
    CHECK(resets(balancer) == 0);
  });
}

TEST_CASE("An answer is complete although the client's further bytes draw a reset from its backend",
          "[bytes][relayed]") {
  Server server(sendsAndCloses(kSize));
  Balancer balancer(Config().backend("a", server.address()));
  Socket client = balancer.connect();
  client.send("?");
  // All of it: a backend's kernel that has some left drops that with the reset.
  REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_bytes_total", {"out"}) == kSize; }));
  REQUIRE(eventually([&] { return server.live() == 0; }));
  for (int i = 0; i < 5; ++i) {
    client.send("more");
    pause(20ms);
  }
  checkComplete(receiveToTheEnd(client, 1, 2 * kSize));
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
  CHECK(resets(balancer) == 0);
}

TEST_CASE("An upload is complete although the answer draws a reset from a client that has left", "[bytes][relayed]") {
  constexpr std::size_t kUpload = 200'000;
  std::promise<Received> received;
  std::promise<void> left;
  auto has_left = left.get_future().share();
  Server server([&](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    has_left.wait_for(20s);
    // More than there is room for on the way, so that a backend that writes on reads nothing before it is read.
    transmit(socket, Pattern(2), 0, 8 * kSize);
    received.set_value(receiveToTheEnd(socket, 1));
  });
  Balancer balancer(Config().backend("a", server.address()));
  Socket client = balancer.connect();
  transmit(client, Pattern(1), 0, kUpload);
  client.finishSending();
  REQUIRE(eventually([&] {
    int waiting = 0;
    return ::ioctl(client.fd(), SIOCOUTQ, &waiting) == 0 && waiting == 0;
  }));
  client.close();
  left.set_value();
  const Received got = resultOf(received);
  CHECK(got.size == kUpload);
  CHECK(got.right);
  CHECK_FALSE(got.reset);
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
  CHECK(resets(balancer) == 0);
}

TEST_CASE("What came before a reset is delivered to a reader that pauses for longer than five seconds",
          "[bytes][relayed]") {
  const auto room = [](const Socket& socket) {
    const int bytes = 2 * kMiB;
    (void)::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  };
  std::promise<Received> uploaded;
  Server answers([&](Socket& socket) {
    if (socket.receive(1).empty()) return;
    transmit(socket, Pattern(1), 0, kSize);
    pause(200ms);
    socket.reset();
  });
  Server takes([&](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    pause(5800ms);
    uploaded.set_value(receiveToTheEnd(socket, 2));
  });
  Balancer download(Config().backend("a", answers.address()));
  Balancer upload(Config().backend("a", takes.address()));
  Socket down = download.connect();
  down.send("?");
  Socket up = upload.connect();
  room(up);
  transmit(up, Pattern(2), 0, kSize);
  pause(200ms);
  up.reset();
  pause(5600ms);
  const auto downloaded = receiveToTheEnd(down, 1);
  CHECK(downloaded.size == kSize);
  CHECK(downloaded.right);
  CHECK(downloaded.reset);
  CHECK(field(sessionLine(download, "backend-reset"), "bytes_out_acked") == std::to_string(kSize));
  const Received got = resultOf(uploaded);
  CHECK(got.size == kSize);
  CHECK(got.right);
  CHECK(got.reset);
}

TEST_CASE("A client that never closes holds a backend that is done for half_close_timeout", "[bytes][relayed]") {
  Server server([](Socket& socket) {
    if (!socket.receive(1).empty()) socket.send("answer");
  });
  Balancer balancer(Config()
                        .set("proxy.half_close_timeout", "1s")
                        .set("proxy.queue_timeout", "10s")
                        .backend("a", server.address(), "max_connections = 1"));
  Socket idle = balancer.connect();
  idle.send("?");
  REQUIRE(idle.receiveAll() == "answer");
  Socket next = balancer.connect();
  next.send("?");
  const Stopwatch watch;
  CHECK(next.receiveAll() == "answer");
  CHECK(watch.elapsed() > 500ms);
  CHECK_FALSE(sessionLine(balancer, "reason=half-close-timeout").empty());
  CHECK(resets(balancer) == 0);
}

TEST_CASE("A half-closed session whose bytes still move is not cut", "[bytes]") {
  Server server([&](Socket& socket) {
    const std::string asked = socket.receive(1);
    if (asked == "d") transmit(socket, Pattern(1), 0, kSize);
    if (asked != "s") return;
    CHECK(socket.receiveAll().empty());
    pause(1500ms);
    socket.send("late");
  });
  Balancer balancer(Config().set("proxy.half_close_timeout", "300ms").backend("a", server.address()));
  Socket waiting = balancer.connect();
  waiting.send("s");
  waiting.finishSending();
  Socket slow = balancer.connect();
  slow.send("d");
  checkComplete(receiveToTheEnd(slow, 1, kSize / 2));
  CHECK(waiting.receiveAll() == "late");
}

TEST_CASE("A peer that was cut off is gone after keep-alive's time, and one that only pauses is not",
          "[bytes][relayed]") {
  constexpr std::size_t kMuch = 16 * kMiB;
  Server server([](Socket& socket) {
    const std::string asked = socket.receive(1);
    if (asked == "d") transmit(socket, Pattern(1), 0, kMuch);
    if (!asked.empty()) (void)socket.next(60s);
  });
  Balancer balancer(Config()
                        .set("proxy.tcp_keepalive", "1s")
                        .set("proxy.tcp_keepalive_interval", "1s")
                        .set("proxy.tcp_keepalive_count", 1)
                        .backend("a", server.address()));
  const auto sessions = [&] { return balancer.metric("lemonade_proxy_sessions"); };
  Socket paused = balancer.connect();
  paused.send("d");
  Socket silent = balancer.connect();
  silent.send("w");
  Socket unacknowledging = balancer.connect();
  unacknowledging.send("d");
  REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_exchanges_total") == 2; }));
  char byte;
  REQUIRE(unacknowledging.receiveSome(&byte, 1) == 1);
  cutOff(unacknowledging);
  cutOff(silent);
  CHECK(sessions() == 3);
  // Reading makes room, so that the kernel sends again, and nobody acknowledges what it sends.
  std::string bytes(4 * kMiB, '\0');
  (void)unacknowledging.receiveSome(bytes.data(), bytes.size());
  CHECK(eventually([&] { return sessions() == 1; }, 20s));
  CHECK(verify(paused, Pattern(1), kMuch));
}

TEST_CASE("proxy.tcp_user_timeout ends a connection whose bytes nobody acknowledges", "[bytes][relayed]") {
  std::promise<void> cut;
  auto is_cut = cut.get_future().share();
  Server server([&](Socket& socket) {
    if (socket.receive(1).empty()) return;
    is_cut.wait_for(20s);
    socket.send("answer");
    (void)socket.next(60s);
  });
  Balancer balancer(
      Config().set("proxy.tcp_keepalive", false).set("proxy.tcp_user_timeout", "500ms").backend("a", server.address()));
  Socket client = balancer.connect();
  client.send("?");
  REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_waiting_exchanges") == 1; }));
  cutOff(client);
  cut.set_value();
  CHECK(eventually([&] { return balancer.metric("lemonade_backend_exchanges_total") == 1; }));
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
}

TEST_CASE("A client that nobody serves is reset where it had sent something and closed in order where not",
          "[bytes][relayed]") {
  BlackHole nobody;
  Balancer balancer(
      Config().set("proxy.connect_timeout", "300ms").set("proxy.retries", 0).backend("a", nobody.address()));
  Socket silent = balancer.connect();
  Socket asking = balancer.connect();
  asking.send("question");
  CHECK(silent.next() == End::kClosed);
  CHECK(asking.next() == End::kReset);
}

TEST_CASE("A client that resets before it is accepted counts as one that left", "[bytes][relayed]") {
  Server server(named("a"));
  Balancer balancer(Config().set("proxy.max_connections", 1).backend("a", server.address()));
  Socket only = balancer.connect();
  REQUIRE(only.receiveLine() == "a");
  for (int i = 0; i < 10; ++i) {
    Socket waiting = balancer.connect();
    if (i % 2 == 0) waiting.send("question");
    waiting.reset();
  }
  only.close();
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_unserved_total", {"reason=\"abandoned\""}) == 10; }));
  CHECK(balancer.metric("lemonade_backend_sessions_total") == 1);
  CHECK(resets(balancer) == 0);
}

}  // namespace lemonade::test
