// SPDX-License-Identifier: MIT
#include "admin/access.h"

#include <catch2/catch.hpp>

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
