// SPDX-License-Identifier: MIT
//
// What requests ask to be done with a backend, and which one they mean.
#include "app/order.h"

#include <catch2/catch.hpp>

#include <string>

using namespace lemonade;
using namespace lemonade::app;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

auto read(const std::string& path, const std::string& query = "") {
  return orderIn({.method = "POST", .path = "/api/v1/pools/" + path, .query = query});
}

Order orderOf(const std::string& path, const std::string& query = "") {
  const auto order = read(path, query);
  if (const auto* refusal = std::get_if<admin::Response>(&order)) FAIL(refusal->body);
  return std::get<Order>(order);
}

/// "400 body" of what is no order.
std::string refusalOf(const std::string& path, const std::string& query = "") {
  const auto order = read(path, query);
  REQUIRE(std::holds_alternative<admin::Response>(order));
  const auto& response = std::get<admin::Response>(order);
  return std::to_string(response.status) + " " + response.body;
}

std::shared_ptr<Backend> makeBackend(const std::string& id, const std::string& name, const std::string& address) {
  return std::make_shared<Backend>(config::Backend{.id = id, .name = name, .host = "h", .port = 80},
                                   *Address::parse(address), 1, "web");
}

}  // namespace

TEST_CASE("An order has its pool, its backend and what to do until when", "[control_api]") {
  const auto drain = orderOf("web/backends/web-1/drain");
  CHECK(drain.pool == "web");
  CHECK(drain.backend == "web-1");
  CHECK(drain.wanted->action == Override::Action::kDrain);
  CHECK(drain.lasting == 0s);
  CHECK_FALSE(drain.persist);
  CHECK(lineOf(drain) == "enabled = false");
  const auto weight = orderOf("web/backends/10.0.0.1:80/weight", "value=5&for=10m&persist=true");
  CHECK(weight.backend == "10.0.0.1:80");
  CHECK(weight.wanted->value == 5);
  CHECK(weight.lasting == 10min);
  CHECK(weight.persist);
  CHECK(lineOf(weight) == "weight = 5");
  CHECK(lineOf(orderOf("web/backends/a/max_connections", "value=100")) == "max_connections = 100");
  CHECK_FALSE(orderOf("web/backends/a/enable").wanted);
  CHECK(lineOf(orderOf("web/backends/a/enable")) == "enabled = true");
  // A Unix socket has slashes.
  CHECK(orderOf("web/backends/unix:/run/app.sock/disable").backend == "unix:/run/app.sock");
}

TEST_CASE("What is no order is refused with the mend", "[control_api]") {
  CHECK_THAT(refusalOf("web/backends/a/drian"), Contains("404") && Contains("did you mean drain?"));
  for (const char* path : {"web", "web/", "web/backends", "web/backends/a", "web/backends//drain", "web/other/a/drain"})
    CHECK_THAT(refusalOf(path), Contains("404") && Contains("/api/v1/pools/POOL/backends/BACKEND/ACTION"));
  CHECK_THAT(refusalOf("web/backends/a/weight"), Contains("400") && Contains("?value=N") && Contains("0 to 65535"));
  for (const char* value : {"65536", "-1", "many", "1.5", ""})
    CHECK_THAT(refusalOf("web/backends/a/weight", std::string("value=") + value),
               Contains("400") && Contains("weight is") && Contains("0 to 65535"));
  CHECK_THAT(refusalOf("web/backends/a/max_connections", "value=x"), Contains("0 to 10000000"));
  for (const char* time : {"soon", "1ms", "721h", "-5s", ""})
    CHECK_THAT(refusalOf("web/backends/a/drain", std::string("for=") + time),
               Contains("400") && Contains("for is") && Contains("from 10ms to 720h"));
  CHECK_THAT(refusalOf("web/backends/a/drain", "persist=yes"), Contains("give true or false"));
  CHECK_THAT(refusalOf("web/backends/a/drain", "value=1"), Contains("drain takes no parameter"));
  CHECK_THAT(refusalOf("web/backends/a/enable", "for=1s"), Contains("enable takes no parameter"));
  CHECK_THAT(refusalOf("web/backends/a/weight", "valu=1"), Contains("did you mean value?"));
  CHECK_THAT(refusalOf("web/backends/a/weight", "value=%zz"), Contains("encoded wrongly"));
}

TEST_CASE("A backend is called by its id or its name or its address", "[control_api]") {
  const auto one = makeBackend("1", "blue", "10.0.0.1:80"), two = makeBackend("2", "green", "10.0.0.2:80");
  const View::Backends backends{one, two};
  const auto called = [&](const std::string& name) { return backendCalled(name, backends, "web"); };
  CHECK(std::get<std::shared_ptr<Backend>>(called("1")) == one);
  CHECK(std::get<std::shared_ptr<Backend>>(called("green")) == two);
  CHECK(std::get<std::shared_ptr<Backend>>(called("10.0.0.2:80")) == two);
  const auto unknown = std::get<admin::Response>(called("gren"));
  CHECK(unknown.status == 404);
  CHECK_THAT(unknown.body, Contains("gren") && Contains("web") && Contains("did you mean green?"));
  CHECK(std::get<admin::Response>(backendCalled("x", {}, "web")).status == 404);
}

TEST_CASE("A name of several backends is answered with those it may mean", "[control_api]") {
  const auto v4 = makeBackend("a", "app", "10.0.0.1:80"), v6 = makeBackend("a", "app", "[::1]:80");
  const auto ambiguous = std::get<admin::Response>(backendCalled("a", {v4, v6}, "web"));
  CHECK(ambiguous.status == 409);
  CHECK_THAT(ambiguous.body, Contains("\"candidates\"") && Contains("a at 10.0.0.1:80") && Contains("a at [::1]:80"));
  CHECK(std::get<std::shared_ptr<Backend>>(backendCalled("[::1]:80", {v4, v6}, "web")) == v6);
}

TEST_CASE("An id counts before the name of another backend", "[control_api]") {
  const auto one = makeBackend("a", "b", "10.0.0.1:80"), two = makeBackend("b", "c", "10.0.0.2:80");
  CHECK(std::get<std::shared_ptr<Backend>>(backendCalled("b", {one, two}, "web")) == two);
}
