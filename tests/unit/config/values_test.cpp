// SPDX-License-Identifier: MIT
//
// The small parsers below the loader.
#include "config/duration.h"
#include "config/host_port.h"
#include "config/nearest.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace lemonade;
using namespace lemonade::config;
using namespace std::chrono_literals;
using namespace std::string_literals;

TEST_CASE("parseDuration reads a whole number and its unit", "[config]") {
  CHECK(parseDuration("10s") == 10s);
  CHECK(parseDuration("500ms") == 500ms);
  CHECK(parseDuration("2m") == 2min);
  CHECK(parseDuration("1h") == 1h);
  CHECK(parseDuration("0s") == 0s);
}

TEST_CASE("parseDuration refuses what has no unit or is no whole number", "[config]") {
  for (const auto* text : {"", "10", "s", "-1s", "1.5s", "1 s", " 1s", "1s ", "1d", "1M", "1m30s",
                           "99999999999999999999s", "9223372036854775807h", "+1s", "0x1s"}) {
    INFO(text);
    CHECK_FALSE(parseDuration(text));
  }
}

TEST_CASE("durationOfMillis refuses negative and absurd numbers", "[config]") {
  CHECK(durationOfMillis(1500) == 1500ms);
  CHECK_FALSE(durationOfMillis(-1));
  CHECK_FALSE(durationOfMillis(INT64_MAX));
}

TEST_CASE("durationText uses the largest unit that fits", "[config]") {
  CHECK(durationText(90s) == "90s");
  CHECK(durationText(1h) == "1h");
  CHECK(durationText(120s) == "2m");
  CHECK(durationText(1500ms) == "1500ms");
  CHECK(durationText(0s) == "0s");
}

TEST_CASE("parseBackendAddress reads names and both families", "[config]") {
  const auto name = parseBackendAddress("web-1.example_a.com:80");
  REQUIRE(name.ok());
  CHECK(name.value().host == "web-1.example_a.com");
  CHECK(name.value().port == 80);
  const auto six = parseBackendAddress("[2001:db8::1]:65535");
  REQUIRE(six.ok());
  CHECK(six.value().host == "2001:db8::1");
  CHECK(six.value().port == 65'535);
  CHECK(parseBackendAddress("10.0.1.10:1").ok());
}

TEST_CASE("parseBackendAddress refuses what cannot be connected to", "[config]") {
  for (const auto* text : {"web-1", "web-1:", "web-1:0", "web-1:65536", "web-1:-1", "web-1:80x", ":80", "*:80",
                           "http://web-1:80", "::1:80", "[::1]", "[web]:80", "[::1:80", "10.0.1.300:80", "1:80",
                           "a b:80", "-a:80", "a..b:80", "web-1:80:90"}) {
    INFO(text);
    CHECK_FALSE(parseBackendAddress(text).ok());
  }
  CHECK_THAT(parseBackendAddress("::1:80").error().message, Catch::Contains("brackets"));
  CHECK_THAT(parseBackendAddress("http://a:80").error().message, Catch::Contains("scheme"));
}

TEST_CASE("parseBackendAddress reads services, which have no port", "[config]") {
  for (const std::string text :
       {"srv:_http._tcp.example.com", "srv:_web._blue.service.consul", "srv:_a._tcp.b.", "srv:_x._tcp.web"}) {
    INFO(text);
    const auto service = parseBackendAddress(text);
    REQUIRE(service.ok());
    CHECK(service.value().host == text);
    CHECK(service.value().port == 0);
    CHECK(isService(service.value().host));
    CHECK(addressText(service.value().host, service.value().port) == text);
  }
  CHECK_FALSE(isService("srv.example.com"));
  CHECK(addressText("srv", 80) == "srv:80");
  CHECK(addressText("2001:db8::1", 80) == "[2001:db8::1]:80");
}

TEST_CASE("parseBackendAddress says what a service lacks", "[config]") {
  for (const auto* text :
       {"srv:", "srv:example.com", "srv:_http", "srv:_http.example.com", "srv:_http._tcp", "srv:_http._tcp.",
        "srv:_._tcp.a", "srv:_a._.b", "srv:http._tcp.a", "srv:_a._tcp..b", "srv:_a._tcp.b c"}) {
    INFO(text);
    const auto service = parseBackendAddress(text);
    REQUIRE_FALSE(service.ok());
    CHECK_THAT(service.error().message, Catch::Contains("srv:_http._tcp.example.com"));
  }
  CHECK_THAT(parseBackendAddress("srv:_http._tcp.example.com:80").error().message,
             Catch::Contains("leave out the port"));
  CHECK_THAT(parseBackendAddress("srv:_dns._udp.example.com").error().message, Catch::Contains("over TCP"));
  CHECK_THAT(parseBackendAddress("_http._tcp.example.com").error().message,
             Catch::Contains("\"srv:_service._tcp.name\""));
}

TEST_CASE("parseBackendAddress and parseListenerAddress read Unix sockets, which have no port", "[config]") {
  const auto longest = std::string(107, 'x');
  for (const auto& text : {"unix:/run/a.sock"s, "unix:@a"s, "unix:/a:80"s, "unix:@" + longest}) {
    INFO(text);
    const auto backend = parseBackendAddress(text);
    REQUIRE(backend.ok());
    CHECK(isUnixSocket(backend.value().host));
    CHECK(backend.value().port == 0);
    CHECK(addressText(backend.value().host, backend.value().port) == text);
    CHECK(parseListenerAddress(text).value() == text);
    CHECK_THAT(parseListenAddress(text).error().message, Catch::Contains("only a listener and a backend"));
  }
  CHECK(parseListenerAddress("*:80").value() == "0.0.0.0:80");
}

TEST_CASE("parseBackendAddress says what is wrong with the name of a Unix socket", "[config]") {
  const auto messageOf = [](const std::string& text) { return parseBackendAddress(text).error().message; };
  for (const auto* text : {"unix:", "unix:/", "unix:@", "unix:run/a.sock"})
    CHECK_THAT(messageOf(text), Catch::Contains("whole path"));
  CHECK_THAT(messageOf("unix:/" + std::string(107, 'x')), Catch::Contains("at most 107 bytes, and this one 108"));
  CHECK_THAT(messageOf("unix:/a\0b"s), Catch::Contains("NUL"));
  CHECK_THAT(messageOf("/run/a.sock"), Catch::Contains("unix:/"));
  CHECK_THAT(messageOf("@a"), Catch::Contains("unix:@"));
}

TEST_CASE("parseListenAddress yields a numeric address", "[config]") {
  CHECK(parseListenAddress("0.0.0.0:8080").value() == "0.0.0.0:8080");
  CHECK(parseListenAddress("[::]:0").value() == "[::]:0");
  CHECK(parseListenAddress("*:8080").value() == "0.0.0.0:8080");
  CHECK(parseListenAddress(":8080").value() == "0.0.0.0:8080");
  CHECK(parseListenAddress("localhost:8080").value() == "127.0.0.1:8080");
  for (const auto* text : {"example.com:80", "8080", "0.0.0.0", "0.0.0.0:65536", "[::1", "::1:80"}) {
    INFO(text);
    CHECK_FALSE(parseListenAddress(text).ok());
  }
}

TEST_CASE("An address with a NUL byte in it is none", "[config]") {
  using namespace std::string_view_literals;
  for (const auto text : {"10.0.1.10\0:80"sv, "10.0.1.10\0x:80"sv, "[::1\0x]:80"sv, "web\0:80"sv}) {
    CHECK_FALSE(parseListenAddress(text).ok());
    CHECK_FALSE(parseBackendAddress(text).ok());
  }
}

TEST_CASE("suggestion names a close word and otherwise all", "[config]") {
  const std::vector<std::string> known{"backlog", "retries", "max_connections"};
  CHECK(suggestion("backlogs", known) == "did you mean backlog?");
  CHECK(suggestion("retires", known) == "did you mean retries?");
  CHECK(suggestion("maxconnections", known) == "did you mean max_connections?");
  CHECK(suggestion("colour", known) == "known are backlog, retries, max_connections");
  CHECK(suggestion(std::string(100'000, 'x'), known) == "known are backlog, retries, max_connections");
}
