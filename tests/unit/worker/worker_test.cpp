// SPDX-License-Identifier: MIT
//
// A worker on a port of the system's choice, asked by POCO's HTTP client.
#include "worker/worker.h"

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
using namespace lemonade::worker;
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

std::unique_ptr<HTTPClientSession> connectTo(const Worker& worker) {
  auto session = std::make_unique<HTTPClientSession>(Poco::Net::SocketAddress(worker.address()));
  session->setKeepAlive(true);
  session->setTimeout(Poco::Timespan(20, 0));
  return session;
}

WorkerOptions named(const std::string& name, Duration delay = 0ms) { return {"127.0.0.1:0", name, delay}; }

}  // namespace

TEST_CASE("Worker names itself in every answer", "[worker]") {
  Worker worker(named("blue"));
  REQUIRE(worker.start().ok());
  const auto session = connectTo(worker);
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

TEST_CASE("Worker answers anything else with 404 and goes on", "[worker]") {
  Worker worker(named("blue"));
  REQUIRE(worker.start().ok());
  const auto session = connectTo(worker);
  CHECK(ask(*session, "/").status == 404);
  CHECK(ask(*session, "/work", "POST", "GET /work HTTP/1.1\r\n\r\n").status == 404);
  CHECK(ask(*session, "/work").json()->getValue<int>("request") == 1);
}

TEST_CASE("Worker holds an answer to work back for its delay", "[worker]") {
  Worker worker(named("slow", 50ms));
  REQUIRE(worker.start().ok());
  const auto session = connectTo(worker);
  const auto before = std::chrono::steady_clock::now();
  CHECK(ask(*session, "/work").json()->getValue<int>("delay_ms") == 50);
  CHECK(std::chrono::steady_clock::now() - before >= 50ms);
}

TEST_CASE("Worker::start fails where the port is taken", "[worker]") {
  Worker first(named("first"));
  REQUIRE(first.start().ok());
  Worker second({first.address(), "second", 0ms});
  const auto status = second.start();
  REQUIRE_FALSE(status.ok());
  CHECK_THAT(status.error().message, Catch::Contains(first.address()));
}

TEST_CASE("Worker serves a thousand connections at once and stops in spite of them", "[worker]") {
  Worker worker(named("crowded"));
  REQUIRE(worker.start().ok());
  std::vector<std::unique_ptr<HTTPClientSession>> sessions;
  for (int i = 0; i < 1'000; ++i) {
    sessions.push_back(connectTo(worker));
    REQUIRE(ask(*sessions.back(), "/work").status == 200);
  }
  const auto before = std::chrono::steady_clock::now();
  worker.stop();
  CHECK(std::chrono::steady_clock::now() - before < 10s);
}

TEST_CASE("Worker::stop answers the request under way without the rest of its delay", "[worker]") {
  Worker worker(named("slow", 1h));
  REQUIRE(worker.start().ok());
  auto status = std::async(std::launch::async, [&worker] { return ask(*connectTo(worker), "/work").status; });
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (worker.requests() == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  REQUIRE(worker.requests() == 1);
  worker.stop();
  REQUIRE(status.wait_for(20s) == std::future_status::ready);
  CHECK(status.get() == 200);
}
