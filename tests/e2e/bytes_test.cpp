// SPDX-License-Identifier: MIT
//
// Behaviour "Bytes": what goes in comes out, in both directions, however the two ends take turns, stall and close.
#include "support/balancer.h"
#include "support/pattern.h"
#include "support/server.h"

#include <poll.h>
#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <future>
#include <set>
#include <vector>

namespace lemonade::test {
namespace {

constexpr std::size_t kMiB = 1024 * 1024;

/// One backend and the balancer in front of it.
struct Pair {
  explicit Pair(Server::Handler handler)
      : server(std::move(handler)), balancer(Config().backend("a", server.address())) {}

  Server server;
  Balancer balancer;
};

/// Resident memory of a process, in bytes.
std::size_t residentMemory(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

/// Sends the pattern until nothing has fitted for a while: then everything between here and the peer is full.
std::size_t sendUntilStuck(Socket& socket, std::size_t limit) {
  const Pattern pattern(1);
  std::size_t sent = 0;
  while (sent < limit) {
    sent += socket.sendSome(pattern.at(sent, limit - sent));
    pollfd entry{socket.fd(), POLLOUT, 0};
    if (::poll(&entry, 1, Deadline(300ms).remainingMillis()) == 0) break;
  }
  return sent;
}

}  // namespace

TEST_CASE("Bytes are echoed both ways", "[bytes]") {
  Pair pair(echo());
  Socket client = pair.balancer.connect();
  for (const std::string message : {"one", "two", "three"}) {
    client.send(message);
    CHECK(client.receive(message.size()) == message);
  }
  client.finishSending();
  CHECK(client.receiveAll().empty());
}

TEST_CASE("A server that speaks first is heard before the client sends anything", "[bytes]") {
  Pair pair(named("hello"));
  CHECK(pair.balancer.connect().receiveLine() == "hello");
}

TEST_CASE("After the client half-closes the answer still arrives in full", "[bytes]") {
  const std::string answer = Pattern(1).bytes(8 * kMiB);
  Pair pair([&](Socket& socket) {
    const std::string question = socket.receiveAll();
    socket.send(question + answer);
  });
  Socket client = pair.balancer.connect();
  client.send("question");
  client.finishSending();
  CHECK(client.receiveAll() == "question" + answer);
}

TEST_CASE("After the server half-closes the bytes of the client still arrive", "[bytes]") {
  const std::string upload = Pattern(2).bytes(8 * kMiB);
  std::promise<std::string> received;
  Pair pair([&](Socket& socket) {
    if (socket.next() == End::kClosed) return;  // a health check
    socket.receive(2);
    socket.finishSending();
    received.set_value(socket.receiveAll());
  });
  Socket client = pair.balancer.connect();
  client.send("go");
  REQUIRE(client.next() == End::kClosed);
  client.send(upload);
  client.finishSending();
  auto result = received.get_future();
  REQUIRE(result.wait_for(20s) == std::future_status::ready);
  CHECK(result.get() == upload);
}

TEST_CASE("Fifty megabytes to a server that reads nothing for a while arrive complete in bounded memory", "[bytes]") {
  constexpr std::size_t kSize = 50 * kMiB;
  std::promise<void> resume;
  auto resumed = resume.get_future().share();
  Pair pair([resumed](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    resumed.wait();
    socket.send(verify(socket, Pattern(1), kSize) ? "same" : "different");
  });
  Socket client = pair.balancer.connect();
  const std::size_t before = residentMemory(pair.balancer.process().pid());
  const std::size_t sent = sendUntilStuck(client, kSize);
  CHECK(sent < kSize);
  if (!LEMONADE_SANITIZED) CHECK(residentMemory(pair.balancer.process().pid()) < before + 8 * kMiB);
  resume.set_value();
  transmit(client, Pattern(1), sent, kSize);
  CHECK(client.receiveAll() == "same");
}

TEST_CASE("Fifty megabytes to a client that reads nothing for a while arrive complete in bounded memory", "[bytes]") {
  constexpr std::size_t kSize = 50 * kMiB;
  std::promise<std::size_t> stuck;
  Pair pair([&stuck](Socket& socket) {
    if (socket.receive(2) != "go") return;
    const std::size_t sent = sendUntilStuck(socket, kSize);
    stuck.set_value(sent);
    transmit(socket, Pattern(1), sent, kSize);
  });
  Socket client = pair.balancer.connect();
  const std::size_t before = residentMemory(pair.balancer.process().pid());
  client.send("go");
  auto sent = stuck.get_future();
  REQUIRE(sent.wait_for(20s) == std::future_status::ready);
  CHECK(sent.get() < kSize);
  if (!LEMONADE_SANITIZED) CHECK(residentMemory(pair.balancer.process().pid()) < before + 8 * kMiB);
  CHECK(verify(client, Pattern(1), kSize));
  CHECK(client.receiveAll().empty());
}

TEST_CASE("A hundred clients that read nothing keep nobody else waiting", "[bytes]") {
  constexpr std::size_t kSlow = 100;
  std::atomic<unsigned> stuck{0};
  // Whoever says "all" is sent more than the kernel's buffers hold; others get their byte back.
  Pair pair([&stuck](Socket& socket) {
    if (const auto asked = socket.receive(1); asked != "a") return socket.send(asked);
    (void)sendUntilStuck(socket, 64 * kMiB);
    ++stuck;
    (void)socket.next();
  });
  const std::size_t before = residentMemory(pair.balancer.process().pid());
  std::vector<Socket> slow;
  for (std::size_t i = 0; i < kSlow; ++i) {
    slow.push_back(pair.balancer.connect());
    slow.back().send("a");
  }
  REQUIRE(eventually([&] { return stuck == kSlow; }, 60s));
  for (int i = 0; i < 20; ++i) {
    Socket quick = pair.balancer.connect();
    quick.send("q");
    CHECK(quick.receive(1) == "q");
  }
  if (!LEMONADE_SANITIZED) CHECK(residentMemory(pair.balancer.process().pid()) < before + kSlow * kMiB / 8);
}

TEST_CASE("A reset by the client is a reset at the server", "[bytes]") {
  std::promise<End> end;
  Pair pair([&](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    socket.receive(5);
    socket.send("there");
    end.set_value(socket.next());
  });
  Socket client = pair.balancer.connect();
  client.send("hello");
  REQUIRE(client.receive(5) == "there");
  client.reset();
  auto seen = end.get_future();
  REQUIRE(seen.wait_for(10s) == std::future_status::ready);
  CHECK(seen.get() == End::kReset);
}

TEST_CASE("A reset by the server is a reset at the client", "[bytes]") {
  Pair pair([](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    socket.receive(5);
    socket.reset();
  });
  Socket client = pair.balancer.connect();
  client.send("hello");
  CHECK(client.next() == End::kReset);
}

TEST_CASE("One gigabyte through one connection is identical byte by byte", "[bytes][relayed]") {
  constexpr std::size_t kSize = 1024 * kMiB;
  Pair pair([](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    socket.send(verify(socket, Pattern(3), kSize) ? "same" : "different");
  });
  Socket client = pair.balancer.connect();
  transmit(client, Pattern(3), 0, kSize);
  CHECK(client.receiveAll(60s) == "same");
  CHECK(
      eventually([&] { return pair.balancer.metric("lemonade_backend_bytes_total", {"direction=\"in\""}) == kSize; }));
}

TEST_CASE("What the server sent before it closed arrives although the client reads later", "[bytes]") {
  const std::string last_words = Pattern(4).bytes(200 * 1024);
  std::promise<void> closed;
  Pair pair([&](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    socket.receive(2);
    socket.send(last_words);
    socket.close();
    closed.set_value();
  });
  Socket client = pair.balancer.connect();
  client.send("go");
  REQUIRE(closed.get_future().wait_for(10s) == std::future_status::ready);
  CHECK(client.receiveAll() == last_words);
}

TEST_CASE("The last bytes for a client that reads late arrive although everybody else is silent", "[bytes][relayed]") {
  Server server([](Socket& client) {
    const std::string asked = client.receiveLine();
    if (asked.empty()) return;
    transmit(client, Pattern(1), 0, std::stoul(asked));
    (void)client.receiveAll();
  });
  Balancer balancer(Config().set("runtime.workers", 1).backend("a", server.address()));
  const auto taken = [&] { return balancer.metric("lemonade_backend_bytes_total", {"direction=\"out\""}); };
  /// A client that asks for so many bytes and reads none until everything between it and the server is full.
  const auto ask = [&](std::size_t size) {
    Socket client = balancer.connect();
    client.send(std::to_string(size) + "\n");
    for (double before = -1; eventually([&] { return taken() != before; }, 200ms);) before = taken();
    return client;
  };
  const double none = taken();
  ask(64 * kMiB).reset();
  REQUIRE(taken() > none);
  const auto room = static_cast<std::size_t>(taken() - none);
  // Somewhere near that, the last piece is the one for which there is no room.
  for (std::size_t less = 0; less < 96 * 1024; less += 8 * 1024) {
    INFO(room - less << " bytes");
    Socket client = ask(room - less);
    CHECK(client.receive(room - less, 5s).size() == room - less);
  }
}

TEST_CASE("An upload that the idle timeout cuts short is a reset at the server and no end", "[bytes]") {
  std::promise<void> resume;
  std::promise<bool> was_reset;
  auto resumed = resume.get_future().share();
  Server server([&](Socket& client) {
    if (client.next() == End::kClosed) return;
    resumed.wait_for(30s);
    try {
      (void)client.receiveAll();
      was_reset.set_value(false);
    } catch (const ResetError&) {
      was_reset.set_value(true);
    }
  });
  Balancer balancer(Config().set("proxy.idle_timeout", "3s").backend("a", server.address()));
  Socket client = balancer.connect();
  REQUIRE(sendUntilStuck(client, 64 * kMiB) < 64 * kMiB);
  CHECK(client.next(10s) != End::kOpen);
  resume.set_value();
  CHECK(was_reset.get_future().get());
}

TEST_CASE("A client that sends one byte at a time is served", "[bytes]") {
  Pair pair(echo());
  Socket client = pair.balancer.connect();
  const std::string message = Pattern(5).bytes(2000);
  for (const char byte : message) client.send(std::string_view(&byte, 1));
  client.finishSending();
  CHECK(client.receiveAll() == message);
}

TEST_CASE("Urgent data arrives in its place and stalls nothing", "[bytes][relayed]") {
  Pair pair(echo());
  Socket client = pair.balancer.connect();
  client.send("before ");
  REQUIRE(client.receive(7) == "before ");
  REQUIRE(::send(client.fd(), "urgent!", 7, MSG_OOB) == 7);
  client.send(" after");
  CHECK(client.receive(13) == "urgent! after");
}

TEST_CASE("A reset after a half-close ends the session although the server is silent", "[bytes]") {
  std::promise<End> end;
  Pair pair([&](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    socket.receive(5);
    CHECK(socket.receiveAll().empty());
    end.set_value(End::kOpen);
    // Says nothing and waits for the balancer.
    (void)eventually([&] {
      pollfd state{socket.fd(), 0, 0};
      return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLERR | POLLHUP)) != 0;
    });
  });
  Socket client = pair.balancer.connect();
  client.send("hello");
  client.finishSending();
  REQUIRE(end.get_future().wait_for(10s) == std::future_status::ready);
  client.reset();
  CHECK(eventually([&] { return pair.balancer.metric("lemonade_proxy_sessions") == 0; }));
}

TEST_CASE("IPv6 clients reach IPv6 and IPv4 backends", "[bytes][relayed]") {
  Server six(named("six"), "[::1]:0");
  Server four(named("four"));
  Balancer balancer(Config()
                        .raw("proxy.listen_address", "[\"[::1]:0\", \"127.0.0.1:0\"]")
                        .backend("six", six.address())
                        .backend("four", four.address()));
  REQUIRE(balancer.address(0).starts_with("[::1]:"));
  REQUIRE(balancer.address(1).starts_with("127.0.0.1:"));
  for (const std::size_t listener : {0, 1}) {
    const std::string first = balancer.connect(listener).receiveLine();
    const std::string second = balancer.connect(listener).receiveLine();
    CHECK(std::set<std::string>{first, second} == std::set<std::string>{"four", "six"});
  }
}

}  // namespace lemonade::test
