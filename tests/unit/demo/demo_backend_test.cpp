// SPDX-License-Identifier: MIT
//
// A demonstration backend on a port of the system's choice, asked by POCO's HTTP client.
#include "demo/demo_backend.h"

#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>
#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/StreamCopier.h>

#include <catch2/catch.hpp>

#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

using namespace lemonade;
using namespace lemonade::demo;
using namespace std::chrono_literals;
using Poco::Net::HTTPClientSession;
using Poco::Net::HTTPRequest;
using Poco::Net::HTTPResponse;

namespace {

struct Answer {
  int status = 0;
  std::string text;

  Poco::JSON::Object::Ptr json() const { return Poco::JSON::Parser().parse(text).extract<Poco::JSON::Object::Ptr>(); }
};

Answer ask(HTTPClientSession& session, const std::string& path, const std::string& method = "GET",
           const std::string& body = "") {
  HTTPRequest request(method, path, HTTPRequest::HTTP_1_1);
  if (!body.empty()) request.setContentLength(static_cast<std::streamsize>(body.size()));
  session.sendRequest(request) << body;
  HTTPResponse response;
  auto& stream = session.receiveResponse(response);
  Answer answer{response.getStatus(), {}};
  Poco::StreamCopier::copyToString(stream, answer.text);
  return answer;
}

std::unique_ptr<HTTPClientSession> connectTo(const DemoBackend& backend) {
  auto session = std::make_unique<HTTPClientSession>(Poco::Net::SocketAddress(backend.address()));
  session->setKeepAlive(true);
  session->setTimeout(Poco::Timespan(20, 0));
  return session;
}

DemoOptions named(const std::string& name, Duration delay = 0ms) { return {"127.0.0.1:0", name, delay}; }

}  // namespace

TEST_CASE("DemoBackend names itself in every answer", "[demo]") {
  DemoBackend backend(named("blue"));
  REQUIRE(backend.start().ok());
  const auto session = connectTo(backend);
  const auto health = ask(*session, "/health");
  CHECK(health.status == 200);
  CHECK(health.text == "{\"status\":\"ok\",\"worker\":\"blue\"}\n");
  for (int number = 1; number <= 3; ++number) {
    const auto work = ask(*session, "/work?x=1");
    CHECK(work.status == 200);
    CHECK(work.json()->getValue<std::string>("worker") == "blue");
    CHECK(work.json()->getValue<int>("request") == number);
  }
}

TEST_CASE("DemoBackend answers anything else with 404 and goes on", "[demo]") {
  DemoBackend backend(named("blue"));
  REQUIRE(backend.start().ok());
  const auto session = connectTo(backend);
  CHECK(ask(*session, "/").status == 404);
  CHECK(ask(*session, "/work", "POST", "GET /work HTTP/1.1\r\n\r\n").status == 404);
  CHECK(ask(*session, "/work").json()->getValue<int>("request") == 1);
}

TEST_CASE("DemoBackend holds an answer to work back for its delay", "[demo]") {
  DemoBackend backend(named("slow", 50ms));
  REQUIRE(backend.start().ok());
  const auto session = connectTo(backend);
  const auto before = std::chrono::steady_clock::now();
  CHECK(ask(*session, "/work").json()->getValue<int>("delay_ms") == 50);
  CHECK(std::chrono::steady_clock::now() - before >= 50ms);
}

TEST_CASE("DemoBackend::start fails where the port is taken", "[demo]") {
  DemoBackend first(named("first"));
  REQUIRE(first.start().ok());
  DemoBackend second({first.address(), "second", 0ms});
  const auto status = second.start();
  REQUIRE_FALSE(status.ok());
  CHECK_THAT(status.error().message, Catch::Contains(first.address()));
}

TEST_CASE("DemoBackend serves a thousand connections at once and stops in spite of them", "[demo]") {
  DemoBackend backend(named("crowded"));
  REQUIRE(backend.start().ok());
  std::vector<std::unique_ptr<HTTPClientSession>> sessions;
  for (int i = 0; i < 1'000; ++i) {
    sessions.push_back(connectTo(backend));
    REQUIRE(ask(*sessions.back(), "/work").status == 200);
  }
  const auto before = std::chrono::steady_clock::now();
  backend.stop();
  CHECK(std::chrono::steady_clock::now() - before < 10s);
}

TEST_CASE("DemoBackend::stop answers the request under way without the rest of its delay", "[demo]") {
  DemoBackend backend(named("slow", 1h));
  REQUIRE(backend.start().ok());
  auto status = std::async(std::launch::async, [&backend] { return ask(*connectTo(backend), "/work").status; });
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (backend.requests() == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  REQUIRE(backend.requests() == 1);
  backend.stop();
  REQUIRE(status.wait_for(20s) == std::future_status::ready);
  CHECK(status.get() == 200);
}
