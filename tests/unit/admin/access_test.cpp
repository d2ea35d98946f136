// SPDX-License-Identifier: MIT
#include "admin/access.h"

#include <catch2/catch.hpp>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace lemonade::admin;

namespace {

int statusFor(const Access& access, const RequestHead& head) {
  const auto refusal = access.refusal(head);
  return refusal ? refusal->status : 200;
}

int asked(const std::string& host, const Access& access = Access({"lb.example", "Metrics.Example:9090"})) {
  return statusFor(access, {.method = "GET", .host = host});
}

int posted(const std::string& host, const std::string& origin) {
  return statusFor(Access({"lb.example"}), {.method = "POST", .host = host, .origin = origin});
}

}  // namespace

TEST_CASE("Access allows addresses and localhost and the names that are given", "[admin]") {
  for (const char* host : {"127.0.0.1", "127.0.0.1:9090", "10.1.2.3:80", "127.1:9090", "[::1]", "[::1]:9090",
                           "[2001:db8::1]:9090", "[fe80::1%25eth0]:9090", "localhost", "LocalHost:9090", "localhost.",
                           "localhost:", "lb.example", "lb.example:1", "LB.EXAMPLE.", "metrics.example:9090"}) {
    CAPTURE(host);
    CHECK(asked(host) == 200);
  }
  CHECK(statusFor(Access(), {.method = "GET"}) == 200);  // HTTP/1.0 without a Host
}

TEST_CASE("Access refuses every other name and says what to set", "[admin]") {
  for (const char* host :
       {"evil.example", "evil.example:9090", "x.localhost", "localhost.evil.example", "metrics.example",
        "metrics.example:91", "127.0.0.1.evil.example", "lb.example.evil.example", "notlb.example", ""}) {
    CAPTURE(host);
    CHECK(asked(host) == 403);
  }
  CHECK(asked("lb.example", Access()) == 403);
  const auto refusal = Access().refusal({.method = "GET", .host = "lb.example:9090"});
  REQUIRE(refusal);
  CHECK_THAT(refusal->message, Catch::Contains("lb.example:9090") && Catch::Contains("hosts in [admin]"));
}

TEST_CASE("Access refuses a Host that is none", "[admin]") {
  for (const char* host :
       {"::1", "[::1", "[::1]x", "[::1]:x", "[x]", "user@localhost", "localhost:x", "localhost:99999",
        "localhost:80:80", "local host", "localhost/x", "http://localhost", "lb.example,localhost"}) {
    CAPTURE(host);
    CHECK(asked(host) == 400);
  }
}

TEST_CASE("Access refuses what a page of another origin sends and lets it read", "[admin]") {
  for (const char* origin : {"http://evil.example", "http://127.0.0.1", "http://127.0.0.1:8080",
                             "http://localhost:9090", "null", "", "file://", "http://127.0.0.1:9090.evil.example",
                             "ftp://127.0.0.1:9090", "https://127.0.0.1", "http://user@127.0.0.1:9090"}) {
    CAPTURE(origin);
    CHECK(posted("127.0.0.1:9090", origin) == 403);
    CHECK(statusFor(Access(), {.method = "GET", .host = "127.0.0.1:9090", .origin = origin}) == 200);
  }
  CHECK(posted("127.0.0.1:9090", "http://127.0.0.1:9090") == 200);
  CHECK(posted("lb.example", "http://lb.example") == 200);
  CHECK(posted("lb.example:80", "http://LB.example") == 200);
  CHECK(posted("lb.example", "https://lb.example") == 200);
  CHECK(posted("[::1]:9090", "http://[::1]:9090") == 200);
  CHECK(statusFor(Access(), {.method = "POST", .origin = "http://evil.example"}) == 403);
  CHECK(statusFor(Access(), {.method = "POST", .host = "localhost"}) == 200);
}

namespace {

const std::string kToken = "0123456789abcdef";

Demand demand(bool of_loopback = false) {
  std::vector<Tokens::Problem> problems;
  return {Tokens::parse("ci: " + kToken, problems), true, of_loopback};
}

/// The status of the refusal, or who is said to ask.
std::string judged(const Access& access, const std::string& method, Peer::From from,
                   std::optional<std::string> authorization = std::nullopt) {
  RequestHead head{.method = method, .host = "localhost"};
  head.authorization = std::move(authorization);
  const auto verdict = access.judge(head, {from, "peer"});
  const auto* refusal = std::get_if<Refusal>(&verdict);
  return refusal != nullptr ? std::to_string(refusal->status) : std::get<std::string>(verdict);
}

}  // namespace

TEST_CASE("Everybody may read and only who is here may change something while there is no token file", "[admin]") {
  const Access access;
  for (const auto from : {Peer::From::kUnix, Peer::From::kLoopback, Peer::From::kElsewhere}) {
    CHECK(judged(access, "GET", from) == "peer");
    CHECK(judged(access, "HEAD", from) == "peer");
  }
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "get"}) {
    CAPTURE(method);
    CHECK(judged(access, method, Peer::From::kUnix) == "peer");
    CHECK(judged(access, method, Peer::From::kLoopback) == "peer");
    CHECK(judged(access, method, Peer::From::kElsewhere) == "403");
    CHECK(judged(access, method, Peer::From::kElsewhere, "Bearer " + kToken) == "403");
  }
  const auto verdict = access.judge({.method = "POST", .host = "10.0.0.1"}, {Peer::From::kElsewhere, "peer"});
  CHECK_THAT(std::get<Refusal>(verdict).message, Catch::Contains("token_file in [admin]"));
}

TEST_CASE("Who is elsewhere changes something with a token of the file and with nothing else", "[admin]") {
  const Access access({}, demand());
  const auto from = Peer::From::kElsewhere;
  CHECK(judged(access, "POST", from, "Bearer " + kToken) == "peer token=ci");
  CHECK(judged(access, "POST", from, "bearer   " + kToken) == "peer token=ci");
  CHECK(judged(access, "POST", from) == "401");
  for (const char* sent : {"", "Bearer", "Bearer ", "Bearer 0123456789abcdeg",
                           "Basic MDEyMzQ1Njc4OWFiY2RlZg==", "0123456789abcdef", "Bearer 0123456789abcdef x"}) {
    CAPTURE(sent);
    CHECK(judged(access, "POST", from, sent) == "401");
    CHECK(judged(access, "GET", from, sent) == "peer");
  }
  CHECK(judged(access, "POST", Peer::From::kLoopback) == "peer");
  CHECK(judged(access, "POST", Peer::From::kLoopback, "Bearer " + kToken) == "peer token=ci");
  CHECK(judged(access, "GET", from, "Bearer " + kToken) == "peer token=ci");
}

TEST_CASE("A file without a token lets nobody from elsewhere change anything", "[admin]") {
  const Access access({}, {Tokens(), true, false});
  CHECK(judged(access, "POST", Peer::From::kElsewhere, "Bearer ") == "401");
  CHECK(judged(access, "POST", Peer::From::kElsewhere, "Bearer " + kToken) == "401");
}

TEST_CASE("Loopback needs a token where that is configured and the Unix socket never does", "[admin]") {
  const Access access({}, demand(true));
  CHECK(judged(access, "POST", Peer::From::kLoopback) == "401");
  CHECK(judged(access, "GET", Peer::From::kLoopback) == "peer");
  CHECK(judged(access, "POST", Peer::From::kLoopback, "Bearer " + kToken) == "peer token=ci");
  CHECK(judged(access, "POST", Peer::From::kUnix) == "peer");
}

TEST_CASE("A token does not let a page of another origin or another name in", "[admin]") {
  const Access access({}, demand());
  RequestHead head{.method = "POST", .host = "evil.example"};
  head.authorization = "Bearer " + kToken;
  CHECK(std::get<Refusal>(access.judge(head, {Peer::From::kElsewhere, "peer"})).status == 403);
  head.host = "10.0.0.1:9090";
  head.origin = "http://evil.example";
  CHECK(std::get<Refusal>(access.judge(head, {Peer::From::kElsewhere, "peer"})).status == 403);
}
