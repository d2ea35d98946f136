// SPDX-License-Identifier: MIT
//
// Nobody waits for somebody else: a prompt answer comes at once whatever other clients and handlers do.
#include "admin/server.h"

#include "client.h"

#include "support/deadline.h"
#include "support/few_descriptors.h"

#include <Poco/InflatingStream.h>
#include <Poco/StreamCopier.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <sstream>
#include <thread>
#include <vector>

using namespace lemonade;
using namespace lemonade::admin;
using namespace std::chrono_literals;

namespace {

const std::string kWait = "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// True where /hello is answered at once, within what a test machine takes that is busy.
bool prompt(const Server& server) {
  const test::Stopwatch stopwatch;
  return bodyOf(get(server, "/hello")) == "hello" && stopwatch.elapsed() < 500ms * test::timeFactor();
}

Slow waiting(Gate& gate) {
  return Slow{[&gate](const Request&) {
    gate.pass();
    return Response{.body = "done"};
  }};
}

/// Reads until the text ends the stream so far; "TIMEOUT" where that takes long.
std::string readUntil(const Fd& fd, const std::string& end) {
  std::string text;
  for (char c; !text.ends_with(end);) {
    pollfd entry{fd.get(), POLLIN, 0};
    if (::poll(&entry, 1, 10'000) <= 0) return "TIMEOUT";
    if (::recv(fd.get(), &c, 1, 0) != 1) return text;
    text += c;
  }
  return text;
}

}  // namespace

TEST_CASE("Five hundred clients that send a byte now and then delay no answer", "[admin]") {
  Server server;
  startWith(server);
  std::vector<Fd> slow;
  for (int i = 0; i < 500; ++i) slow.push_back(connectTo(server.address()));
  std::atomic<bool> stop{false};
  std::thread dribble([&] {
    const std::string text = "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(1'000, 'x');
    for (std::size_t at = 0; !stop; ++at, std::this_thread::sleep_for(10ms))
      for (const auto& fd : slow) sendAll(fd, text.substr(at, 1));
  });
  for (int i = 0; i < 50; ++i) CHECK(prompt(server));
  stop = true;
  dribble.join();
}

TEST_CASE("A handler that hangs delays nobody but who asks the same", "[admin]") {
  Gate gate;
  Server server;
  server.handle("GET", "/wait", waiting(gate));
  server.handle("GET", "/other", Slow{hello});
  startWith(server);
  std::vector<Fd> stuck;
  for (int i = 0; i < 100; ++i) {
    stuck.push_back(connectTo(server.address()));
    sendAll(stuck.back(), kWait);
  }
  REQUIRE(gate.awaitWaiting(1));
  CHECK(prompt(server));
  CHECK(bodyOf(get(server, "/other")) == "hello");
  gate.release();
  for (const auto& fd : stuck) CHECK_THAT(readUntil(fd, "done"), Catch::EndsWith("done"));
}

TEST_CASE("Who asks the same while a handler runs gets one answer made later", "[admin]") {
  Gate gate;
  std::atomic<int> calls{0};
  Server server;
  server.handle("GET", "/wait", Slow{[&](const Request& request) {
                  ++calls;
                  gate.pass();
                  return Response{.body = request.query + "done"};
                }});
  startWith(server);
  const auto first = connectTo(server.address());
  sendAll(first, kWait);
  REQUIRE(gate.awaitWaiting(1));
  std::vector<Fd> later;
  for (int i = 0; i < 10; ++i) {
    later.push_back(connectTo(server.address()));
    sendAll(later.back(), kWait);
  }
  const auto other = connectTo(server.address());
  sendAll(other, "GET /wait?other HTTP/1.1\r\nHost: localhost\r\n\r\n");
  for (int i = 0; i < 3; ++i) CHECK(prompt(server));  // so that all have been read
  gate.release();
  for (const auto& fd : later) CHECK_THAT(readUntil(fd, "done"), Catch::EndsWith("\r\n\r\ndone"));
  CHECK_THAT(readUntil(other, "done"), Catch::EndsWith("\r\n\r\notherdone"));
  CHECK(calls <= 4);  // the first, those that were read while it ran, the other, and perhaps one that was late
}

TEST_CASE("A client that reads a large answer slowly delays nobody and gets all of it", "[admin]") {
  const std::string large(std::size_t{10} << 20, 'x');
  Server server;
  server.handle("GET", "/large", Slow{[&](const Request&) { return Response{.body = large}; }});
  startWith(server);
  std::vector<Fd> readers;
  for (int i = 0; i < 3; ++i) {
    readers.push_back(connectTo(server.address()));
    sendAll(readers.back(), "GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  }
  for (int i = 0; i < 10; ++i) CHECK(prompt(server));
  for (const auto& fd : readers) CHECK(bodyOf(readAll(fd)) == large);
}

TEST_CASE("Where too much waits to be read the slowest reader makes room", "[admin]") {
  Limits limits;
  limits.unsent = std::size_t{24} << 20;
  Server server(limits);
  server.handle("GET", "/large/*",
                Slow{[](const Request&) { return Response{.body = std::string(std::size_t{10} << 20, 'x')}; }});
  startWith(server);
  std::vector<Fd> readers;
  for (int i = 0; i < 4; ++i) {
    readers.push_back(connectTo(server.address()));
    sendAll(readers.back(),
            "GET /large/" + std::to_string(i) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    CHECK(readUntil(readers.back(), "\r\n").starts_with("HTTP/1.1 200"));
  }
  for (int i = 0; i < 4; ++i) {
    CAPTURE(i);
    CHECK((readAll(readers[static_cast<std::size_t>(i)]).size() > std::size_t{10} << 20) == (i >= 2));
  }
}

TEST_CASE("Where all places are taken the client that dawdles longest makes room", "[admin]") {
  Limits limits;
  limits.connections = 4;
  Server server(limits);
  startWith(server);
  std::vector<Fd> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(connectTo(server.address()));
    sendAll(slow.back(), "GET /hello HT");
  }
  CHECK(bodyOf(get(server, "/hello")) == "hello");
  CHECK(readAll(slow[0]) == "");
  sendAll(slow[3], "TP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  CHECK(bodyOf(readAll(slow[3])) == "hello");
}

TEST_CASE("Where all places wait for a handler that hangs there is still room", "[admin]") {
  Gate gate;
  Limits limits;
  limits.connections = 4;
  Server server(limits);
  server.handle("GET", "/wait", waiting(gate));
  startWith(server);
  std::vector<Fd> stuck;
  for (int i = 0; i < 10; ++i) {
    stuck.push_back(connectTo(server.address()));
    sendAll(stuck.back(), kWait);
  }
  REQUIRE(gate.awaitWaiting(1));
  CHECK(bodyOf(get(server, "/hello")) == "hello");
  gate.release();
}

TEST_CASE("A client that waits too long for a handler is told so", "[admin]") {
  Gate gate;
  Limits limits;
  limits.response_time = 100ms;
  Server server(limits);
  server.handle("GET", "/wait", waiting(gate));
  startWith(server);
  CHECK_THAT(get(server, "/wait"), Catch::StartsWith("HTTP/1.1 503") && Catch::Contains("takes too long"));
  gate.release();
}

TEST_CASE("A late handler answers when it can and everybody else meanwhile", "[admin]") {
  std::promise<Answer> asked;
  Server server;
  server.handle("POST", "/late", Late{[&](const Request&, const Answer& answer) { asked.set_value(answer); }, 1h});
  startWith(server);
  const auto client = connectTo(server.address());
  sendAll(client, "POST /late HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const auto answer = asked.get_future().get();
  CHECK(prompt(server));
  answer({.body = "first"});
  answer({.body = "second"});
  CHECK(bodyOf(readAll(client)) == "first");
  server.stop(1s);
  answer({.body = "third"});
}

TEST_CASE("A late handler that takes too long or throws has an answer too", "[admin]") {
  Server server;
  server.handle("POST", "/never", Late{[](const Request&, const Answer&) {}, 50ms, {.status = 202, .body = "later"}});
  server.handle("POST", "/throw", Late{[](const Request&, const Answer&) { throw std::runtime_error("x"); }, 1h});
  startWith(server);
  const auto post = [&](const std::string& path) {
    return ask(server, "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  };
  const auto never = post("/never");
  CHECK(statusOf(never) == "HTTP/1.1 202 Accepted");
  CHECK(bodyOf(never) == "later");
  CHECK(statusOf(post("/throw")) == "HTTP/1.1 500 Internal Server Error");
}

TEST_CASE("Stopping cuts off who waits for a late handler", "[admin]") {
  std::promise<Answer> asked;
  Server server;
  server.handle("POST", "/late", Late{[&](const Request&, const Answer& answer) { asked.set_value(answer); }, 1h});
  startWith(server);
  const auto client = connectTo(server.address());
  sendAll(client, "POST /late HTTP/1.1\r\nHost: localhost\r\n\r\n");
  asked.get_future().get();
  CHECK(server.stop(50ms));
  CHECK(readAll(client) == "");
}

TEST_CASE("A connection carries requests one after another until it has been idle for a while", "[admin]") {
  Limits limits;
  limits.idle_time = 200ms;
  Server server(limits);
  startWith(server);
  const auto client = connectTo(server.address());
  const std::string request = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (int i = 0; i < 3; ++i) {
    sendAll(client, request);
    CHECK_THAT(readUntil(client, "hello"), Catch::Contains("Connection: keep-alive"));
  }
  sendAll(client, request + request + "HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\n" + request);
  for (int i = 0; i < 3; ++i) CHECK_THAT(readUntil(client, "\r\n\r\nhello"), Catch::StartsWith("HTTP/1.1 200 OK"));
  CHECK(readAll(client) == "");
}

TEST_CASE("What comes behind the last request takes nothing from its answer", "[admin]") {
  const std::string large(std::size_t{4} << 20, 'x');
  Server server;
  server.handle("GET", "/large", Slow{[&](const Request&) { return Response{.body = large}; }});
  startWith(server);
  const auto client = connectTo(server.address());
  sendAll(client, "GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" + std::string(100'000, 'x'));
  CHECK(readUntil(client, "\r\n\r\n").starts_with("HTTP/1.1 200 OK"));
  std::this_thread::sleep_for(50ms);  // in which the server is done with its part
  CHECK(readAll(client) == large);
}

TEST_CASE("Nothing behind a request that is refused has any effect", "[admin]") {
  std::atomic<int> calls{0};
  Server server;
  server.handle("POST", "/count", Prompt{[&](const Request&) {
                  ++calls;
                  return Response{};
                }});
  startWith(server);
  const std::string post = "POST /count HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (const char* bad :
       {"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 0\r\nContent-Length: 0\r\n",
        "Origin: http://evil.example\r\n", "X: y\r\n z\r\n"}) {
    const auto answer =
        ask(server, "POST /count HTTP/1.1\r\nHost: localhost\r\n" + std::string(bad) + "\r\n" + post + post);
    CAPTURE(answer);
    CHECK_THAT(answer, Catch::StartsWith("HTTP/1.1 4") && !Catch::Contains(" 200 "));
  }
  CHECK(calls == 0);
}

TEST_CASE("A client that waits to be asked for its body is asked", "[admin]") {
  Server server;
  server.handle("POST", "/echo", Prompt{[](const Request& request) { return Response{.body = request.body}; }});
  startWith(server);
  const auto client = connectTo(server.address());
  sendAll(client,
          "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: "
          "2\r\n\r\n");
  CHECK(readUntil(client, "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  sendAll(client, "hi");
  CHECK(bodyOf(readAll(client)) == "hi");
}

TEST_CASE("A large answer comes in gzip where the client asks for that", "[admin]") {
  const std::string large(100'000, 'x');
  Server server;
  server.handle("GET", "/large", Slow{[&](const Request&) { return Response{.body = large}; }});
  startWith(server);
  const auto asked = [&](const std::string& method) {
    return ask(server,
               method + " /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n");
  };
  const auto answer = asked("GET");
  CHECK_THAT(answer, Catch::Contains("Content-Encoding: gzip") && Catch::Contains("Vary: Accept-Encoding"));
  std::istringstream coded(bodyOf(answer));
  Poco::InflatingInputStream inflater(coded, Poco::InflatingStreamBuf::STREAM_GZIP);
  std::string text;
  Poco::StreamCopier::copyToString(inflater, text);
  CHECK(text == large);
  const auto head = asked("HEAD");
  CHECK(bodyOf(head) == "");
  CHECK_THAT(head, Catch::Contains("Content-Length: " + std::to_string(bodyOf(answer).size())));
  CHECK(bodyOf(get(server, "/large")) == large);
}

TEST_CASE("Server answers by the names it is told from then on", "[admin]") {
  Server server;
  startWith(server);
  const auto by = [&](const std::string& host) {
    return statusOf(ask(server, "GET /hello HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"));
  };
  CHECK(by("lb.example") == "HTTP/1.1 403 Forbidden");
  server.allow(Access({"lb.example"}));
  CHECK(by("lb.example") == "HTTP/1.1 200 OK");
  server.allow(Access());
  CHECK(by("lb.example") == "HTTP/1.1 403 Forbidden");
  CHECK(by(server.address()) == "HTTP/1.1 200 OK");
}

TEST_CASE("The client who is given the last descriptor is answered", "[admin]") {
  Server server;
  startWith(server);
  const Poco::Net::SocketAddress address(server.address());
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::string answer;
  {
    const test::FewDescriptors few(1);
    REQUIRE(::connect(client.get(), address.addr(), address.length()) == 0);
    sendAll(client, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    answer = readAll(client);
  }
  CHECK(bodyOf(answer) == "hello");
}
