// SPDX-License-Identifier: MIT
//
// The admin server over real loopback sockets, with clients as bad as they come.
#include "admin/server.h"

#include "admin/routes.h"
#include "client.h"

#include <fcntl.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <vector>

using namespace lemonade;
using namespace lemonade::admin;
using namespace std::chrono_literals;

TEST_CASE("Server answers on the path and method of a handler", "[admin]") {
  Server server;
  Request seen;
  server.handle("POST", "/echo", Prompt{[&](const Request& request) {
                  seen = request;
                  return Response{.status = 201, .body = "{}", .headers = {{"X-Test", "yes"}}};
                }});
  startWith(server);
  CHECK(bodyOf(get(server, "/hello")) == "hello");
  const auto response = ask(server,
                            "POST /echo?a=b%20c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                            "Accept: text/plain\r\nContent-Length: 4\r\n\r\nbody");
  CHECK(statusOf(response) == "HTTP/1.1 201 Created");
  CHECK_THAT(response, Catch::Contains("X-Test: yes") && Catch::Contains("Content-Type: application/json"));
  CHECK(seen.method == "POST");
  CHECK(seen.path == "/echo");
  CHECK(seen.query == "a=b%20c");
  CHECK(seen.accept == "text/plain");
  CHECK(seen.body == "body");
}

TEST_CASE("Server answers HEAD like GET but without a body", "[admin]") {
  Server server;
  startWith(server);
  const auto response = get(server, "/hello", "HEAD");
  CHECK(statusOf(response) == "HTTP/1.1 200 OK");
  CHECK_THAT(response, Catch::Contains("Content-Length: 5"));
  CHECK(bodyOf(response) == "");
}

TEST_CASE("Server answers what it does not know with an error in JSON", "[admin]") {
  Server server;
  startWith(server);
  const auto unknown = get(server, "/nothing%22here");
  CHECK(statusOf(unknown) == "HTTP/1.1 404 Not Found");
  CHECK(bodyOf(unknown) == "{\"error\":\"there is no /nothing\\\"here here; GET / lists what there is\"}\n");
  const auto wrong = get(server, "/hello", "DELETE");
  CHECK(statusOf(wrong) == "HTTP/1.1 405 Method Not Allowed");
  CHECK_THAT(wrong, Catch::Contains("Allow: GET, HEAD\r\n") && Catch::Contains("{\"error\":"));
}

TEST_CASE("An error is JSON whatever bytes the path has", "[admin]") {
  Server server;
  startWith(server);
  const auto answer = get(server, "/%ff%01%c3%a9%00x");
  CHECK(statusOf(answer) == "HTTP/1.1 404 Not Found");
  CHECK_THAT(bodyOf(answer), Catch::StartsWith("{\"error\":\"there is no /\xef\xbf\xbd\\u0001\xc3\xa9\\u0000x here"));
}

TEST_CASE("Server lists its endpoints at the root", "[admin]") {
  Server server;
  server.handle("GET", "/metrics/*", Prompt{hello});
  startWith(server);
  CHECK(bodyOf(get(server, "/")) ==
        "{\"endpoints\":[{\"path\":\"/hello\",\"methods\":\"GET, HEAD\"},"
        "{\"path\":\"/metrics/*\",\"methods\":\"GET, HEAD\"}]}\n");
}

TEST_CASE("Server answers a browser with the page at the root and everybody else with the list", "[admin]") {
  Server server;
  server.handle("GET", "/",
                Prompt{[](const Request&) { return Response{.content_type = "text/html", .body = "page"}; }});
  startWith(server);
  const auto rootFor = [&](const std::string& accept) {
    return bodyOf(ask(server, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + accept + "\r\n"));
  };
  CHECK(rootFor("Accept: text/html,application/xhtml+xml;q=0.9\r\n") == "page");
  CHECK(rootFor("Accept: */*\r\n").find("{\"endpoints\":") == 0);
  CHECK(rootFor("").find("{\"endpoints\":") == 0);
}

TEST_CASE("Routes prefer the exact path and then the longest prefix", "[admin]") {
  Routes routes;
  const auto answer = [](const char* body) {
    return Prompt{[body](const Request&) { return Response{.body = body}; }};
  };
  routes.add("GET", "/a/*", answer("a"));
  routes.add("GET", "/a/b/*", answer("ab"));
  routes.add("GET", "/a/b/c", answer("abc"));
  const auto at = [&](const char* path) {
    const Request request{.method = "GET", .path = path};
    const auto found = routes.find(request);
    if (const auto* response = std::get_if<Response>(&found)) return response->body;
    return std::get<Prompt>(*std::get<const Route*>(found)).handler(request).body;
  };
  CHECK(at("/a/x") == "a");
  CHECK(at("/a/x/y") == "a");
  CHECK(at("/a/b/x") == "ab");
  CHECK(at("/a/b/c") == "abc");
  CHECK_THAT(at("/a/"), Catch::Contains("error"));
  CHECK_THAT(at("/a"), Catch::Contains("error"));
  CHECK_THAT(at(""), Catch::Contains("error"));
}

TEST_CASE("A handler that throws is answered with 500", "[admin]") {
  Server server;
  server.handle("GET", "/throw", Slow{[](const Request&) -> Response { throw std::runtime_error("secret"); }});
  startWith(server);
  const auto response = get(server, "/throw");
  CHECK(statusOf(response) == "HTTP/1.1 500 Internal Server Error");
  CHECK_THAT(response, !Catch::Contains("secret"));
  CHECK(bodyOf(get(server, "/hello")) == "hello");
}

TEST_CASE("Server refuses bodies above the limit with 413", "[admin]") {
  Limits limits;
  limits.body = 1'000;
  Server server(limits);
  std::atomic<std::size_t> size{0};
  server.handle("POST", "/put", Prompt{[&](const Request& request) {
                  size = request.body.size();
                  return Response{};
                }});
  startWith(server);
  const auto post = [&](std::size_t bytes) {
    return statusOf(ask(server, "POST /put HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: " +
                                    std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'x')));
  };
  CHECK(post(1'000) == "HTTP/1.1 200 OK");
  CHECK(size == 1'000);
  CHECK(post(1'001) == "HTTP/1.1 413 Payload Too Large");
  CHECK(post(2'000'000) == "HTTP/1.1 413 Payload Too Large");
  const auto chunked =
      ask(server,
          "POST /put HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
              std::string(2'000, 'x') + "\r\n0\r\n\r\n");
  CHECK(statusOf(chunked) == "HTTP/1.1 413 Payload Too Large");
  CHECK(size == 1'000);
}

TEST_CASE("Server survives garbage", "[admin]") {
  Server server;
  startWith(server);
  for (const auto& garbage : {std::string("\0\1\2\3\xff\xfe\r\n\r\n", 10), std::string("GET\r\n\r\n"),
                              std::string("\r\n\r\n\r\n"), "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n",
                              "GET /hello HTTP/1.1\r\n" + std::string(100'000, 'h') + ": x\r\n\r\n",
                              std::string("GET /%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
                              std::string("GET http://[ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")}) {
    const auto fd = connectTo(server.address());
    sendAll(fd, garbage);
    ::shutdown(fd.get(), SHUT_WR);
    const auto response = readAll(fd);
    CHECK(response != "TIMEOUT");
    CHECK_THAT(response, !Catch::Contains(" 200 "));
  }
  CHECK(bodyOf(get(server, "/hello")) == "hello");
}

TEST_CASE("Slow clients are cut off and do not lock others out for good", "[admin]") {
  Limits limits;
  limits.threads = 2;
  limits.request_time = 100ms;
  Server server(limits);
  startWith(server);
  std::vector<Fd> slow;
  for (int i = 0; i < 6; ++i) {
    slow.push_back(connectTo(server.address()));
    sendAll(slow.back(), "GET /hello HT");
  }
  CHECK(bodyOf(get(server, "/hello")) == "hello");
  for (const auto& fd : slow) CHECK(readAll(fd) != "TIMEOUT");
}

TEST_CASE("A client that does not read its answer is cut off", "[admin]") {
  Limits limits;
  limits.threads = 1;
  limits.response_time = 100ms;
  Server server(limits);
  server.handle("GET", "/large",
                Slow{[](const Request&) { return Response{.body = std::string(std::size_t{32} << 20, 'x')}; }});
  startWith(server);
  const auto greedy = connectTo(server.address());
  sendAll(greedy, "GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  CHECK(bodyOf(get(server, "/hello")) == "hello");
}

TEST_CASE("An address in use is an error that names it", "[admin]") {
  Server first;
  startWith(first);
  Server second;
  const auto started = second.start(first.address());
  REQUIRE_FALSE(started.ok());
  CHECK_THAT(started.error().message, Catch::Contains(first.address()) && Catch::Contains("in use"));
}

TEST_CASE("Server listens on IPv6", "[admin]") {
  if (!Server().start("[::1]:0").ok()) return;  // no IPv6 here
  Server server;
  startWith(server, "[::1]:0");
  CHECK_THAT(server.address(), Catch::StartsWith("[::1]:"));
  CHECK(bodyOf(get(server, "/hello")) == "hello");
}

TEST_CASE("No descriptor of the server is inherited by children", "[admin]") {
  const auto inheritable = [] {
    int count = 0;
    for (int fd = 0; fd < 1'024; ++fd) {
      const int flags = ::fcntl(fd, F_GETFD);
      count += flags >= 0 && (flags & FD_CLOEXEC) == 0 ? 1 : 0;
    }
    return count;
  };
  const int before = inheritable();
  Gate gate;
  Server server;
  server.handle("GET", "/wait", Slow{[&](const Request&) {
                  gate.pass();
                  return Response{};
                }});
  startWith(server);
  const auto client = connectTo(server.address());
  sendAll(client, "GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  REQUIRE(gate.awaitWaiting(1));
  CHECK(inheritable() == before);
  gate.release();
  CHECK_THAT(readAll(client), Catch::StartsWith("HTTP/1.1 200"));
}

TEST_CASE("Stopping gives requests under way their grace", "[admin]") {
  Gate gate;
  Server server;
  server.handle("GET", "/wait", Slow{[&](const Request&) {
                  gate.pass();
                  return Response{.body = "done"};
                }});
  startWith(server);
  const auto address = server.address();
  const auto client = connectTo(address);
  sendAll(client, "GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  REQUIRE(gate.awaitWaiting(1));
  auto stopping = std::async(std::launch::async, [&] { server.stop(10s); });
  gate.release();
  CHECK(bodyOf(readAll(client)) == "done");
  CHECK(stopping.wait_for(10s) == std::future_status::ready);
  CHECK(Server().start(address).ok());
}

TEST_CASE("Stopping does not wait for clients that have not asked yet", "[admin]") {
  Limits limits;
  limits.request_time = 1h;
  Server server(limits);
  startWith(server);
  std::vector<Fd> hung;
  for (int i = 0; i < 12; ++i) {
    hung.push_back(connectTo(server.address()));
    sendAll(hung.back(), "GET /hello HTTP/1.1\r\nHo");
  }
  const auto begin = nowNs();
  CHECK(server.stop(60s));
  CHECK(nowNs() - begin < 5'000'000'000u);
  for (const auto& fd : hung) CHECK(readAll(fd) != "TIMEOUT");
}

TEST_CASE("Stopping cuts off clients that do not read their answer", "[admin]") {
  Server server;
  std::promise<void> asked;
  server.handle("GET", "/large", Slow{[&](const Request&) {
                  asked.set_value();
                  return Response{.body = std::string(std::size_t{16} << 20, 'x')};
                }});
  startWith(server);
  const auto greedy = connectTo(server.address());
  sendAll(greedy, "GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  REQUIRE(asked.get_future().wait_for(10s) == std::future_status::ready);
  CHECK(server.stop(1s));
}

TEST_CASE("Stopping leaves a handler behind that hangs", "[admin]") {
  const auto gate = std::make_shared<Gate>();
  Server server;
  server.handle("GET", "/wait", Slow{[gate](const Request&) {
                  gate->pass();
                  return Response{};
                }});
  startWith(server);
  const auto client = connectTo(server.address());
  sendAll(client, "GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  REQUIRE(gate->awaitWaiting(1));
  const auto begin = nowNs();
  CHECK_FALSE(server.stop(50ms));
  CHECK(nowNs() - begin < 5'000'000'000u);
}
