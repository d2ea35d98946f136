// SPDX-License-Identifier: MIT
#include "support/checker_fixture.h"

#include <catch2/catch.hpp>

using namespace lemonade::test;
using Options = std::map<std::string, std::string>;
using Check = CheckerFixture::Check;

namespace {

constexpr auto kPass = LEMONADE_VERDICT_PASS;
constexpr auto kFail = LEMONADE_VERDICT_FAIL;
constexpr auto kWait = LEMONADE_VERDICT_WAIT;

std::string requestOf(const Options& options, std::string_view address = "127.0.0.1:8080",
                      std::string_view hostname = "app.example") {
  const CheckerFixture checker(LEMONADE_PLUGIN, options);
  Check check(checker, address, hostname);
  CHECK(check.connected().what == LEMONADE_VERDICT_SEND);
  return check.sent();
}

std::string refusalOf(const Options& options) {
  try {
    CheckerFixture checker(LEMONADE_PLUGIN, options);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

std::string answer(const std::string& status, const std::string& body = "") {
  return "HTTP/1.1 " + status + "\r\nServer: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("The request is written as configured", "[http]") {
  CHECK(requestOf({}) ==
        "GET / HTTP/1.1\r\nHost: app.example:8080\r\nConnection: close\r\nUser-Agent: lemonade-health-check\r\n\r\n");
  CHECK(
      requestOf({{"method", "HEAD"},
                 {"path", "/health?full=1"},
                 {"host", "www.example"},
                 {"headers", "Authorization: Bearer x\r\n\n  X-Probe: 1"}}) ==
      "HEAD /health?full=1 HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\nUser-Agent: lemonade-health-check\r\n"
      "Authorization: Bearer x\r\nX-Probe: 1\r\n\r\n");
  CHECK(requestOf({{"headers", "user-agent: mine"}}).find("lemonade") == std::string::npos);
}

TEST_CASE("The Host header follows the backend where none is given", "[http]") {
  CHECK(requestOf({}, "10.0.0.1:80", "app.example").find("Host: app.example\r\n") != std::string::npos);
  CHECK(requestOf({}, "unix:/run/app.sock", "localhost").find("Host: localhost\r\n") != std::string::npos);
  CHECK(requestOf({}, "[::1]:8080", "::1").find("Host: [::1]:8080\r\n") != std::string::npos);
}

TEST_CASE("A status is judged however the answer is split", "[http]") {
  const CheckerFixture plain(LEMONADE_PLUGIN);
  CHECK(plain.however(answer("200 OK", "hello")).what == kPass);
  CHECK(plain.however(answer("204 No Content")).what == kPass);
  CHECK(plain.however("HTTP/1.0 200 OK\r\n\r\nuntil the end").what == kPass);
  CHECK(plain.however("HTTP/1.1 100 Continue\r\n\r\n" + answer("200 OK")).what == kPass);
  const auto failed = plain.however(answer("503 Service Unavailable", "down"));
  CHECK(failed.what == kFail);
  CHECK(failed.reason == "status 503, expected 200-299");
  const CheckerFixture some(LEMONADE_PLUGIN, {{"status", "200-204, 301,401 - 403"}});
  for (const auto* good : {"200 OK", "204 x", "301 x", "401 x", "403 x"})
    CHECK(some.however(answer(good)).what == kPass);
  for (const auto* bad : {"205 x", "300 x", "302 x", "404 x"})
    CHECK(some.however(answer(bad)).reason == std::string("status ").append(bad, 3) + ", expected 200-204,301,401-403");
}

TEST_CASE("A status is judged before the body has come", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN);
  CHECK(checker.after({"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"}, false).what == kPass);
  CHECK(checker.after({"HTTP/1.1 500 x\r\nContent-Length: 10\r\n\r\n"}, false).what == kFail);
  CHECK(checker.after({"HTTP/1.1 200 OK\r\nContent-Len"}, false).what == kWait);
}

TEST_CASE("What is broken behind that which decides does not matter however the answer is split", "[http]") {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", broken = "3\r\nabcd\r\n";
  const CheckerFixture plain(LEMONADE_PLUGIN), some(LEMONADE_PLUGIN, {{"body", "abc"}});
  CHECK(plain.however(head + broken).what == kPass);
  CHECK(some.however(head + broken).what == kPass);
  CHECK(some.however("HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n" + broken).reason ==
        "status 500, expected 200-299");
  CHECK(some.however(head + "zz\r\n").reason.find("the body of the answer is broken") == 0);
}

TEST_CASE("A body is searched however the answer is split", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN, {{"body", "\"ok\""}});
  CHECK(checker.however(answer("200 OK", "{\"status\": \"ok\"}")).what == kPass);
  CHECK(checker.however("HTTP/1.0 200 OK\r\n\r\n\"\"ok\"").what == kPass);
  CHECK(
      checker.however("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\na\"o\r\n4\r\nk\"bc\r\n0\r\n\r\n")
          .what == kPass);
  const auto missing = checker.however(answer("200 OK", "{\"status\": \"out\"}"));
  CHECK(missing.what == kFail);
  CHECK(missing.reason == "the body does not hold \"\\\"ok\\\"\"");
  CHECK(checker.however("HTTP/1.0 200 OK\r\n\r\n\"o k\"").reason == missing.reason);
  CHECK(checker.however(answer("500 x", "\"ok\"")).reason == "status 500, expected 200-299");
  CHECK(checker.however(answer("204 No Content")).reason == missing.reason);
  // Found, it decides before the end.
  CHECK(checker.after({"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n\"ok\""}, false).what == kPass);
}

TEST_CASE("A last chunk may be the first and come byte by byte", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN, {{"body", "0\r"}});
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto empty = checker.however(head + "0\r\n\r\n");
  CHECK(empty.what == kFail);
  CHECK(empty.reason == "the body does not hold \"0\\r\"");
  CHECK(checker.however(head + "0\r\nTrailer: 1\r\n\r\n").reason == empty.reason);
  CHECK(checker.however(head + "0\r\n").reason == "closed before the answer was complete");
  // The same three bytes as the body of a chunk, also of one that is cut short.
  CHECK(checker.however(head + "3\r\n0\r\n\r\n0\r\n\r\n").what == kPass);
  CHECK(checker.however(head + "9\r\n0\r\n").what == kPass);
}

TEST_CASE("A body is read no further than 64 KiB", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN, {{"body", "needle"}});
  const auto size = GENERATE(64u * 1024, 64u * 1024 - 1, 64u * 1024 + 1);
  const auto head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\n";
  Check check(checker);
  check.connected();
  CHECK(check.data(head).what == kWait);
  const std::string body = std::string(size - 6, 'x') + "needle";
  Finding finding;
  for (std::size_t at = 0; at < body.size(); at += 1000) finding = check.data(std::string_view(body).substr(at, 1000));
  CHECK(finding.what == (size <= 64 * 1024 ? kPass : kFail));
}

TEST_CASE("An answer that ends too early says so", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN, {{"body", "ok"}});
  CHECK(checker.after({}).reason == "closed without an answer");
  const auto early = "closed before the answer was complete";
  CHECK(checker.however("HTTP/1.1 200").reason == early);
  CHECK(checker.however("HTTP/1.1 200 OK\r\nServer: x\r\n").reason == early);
  CHECK(checker.however("HTTP/1.1 100 Continue\r\n\r\n").reason == early);
  CHECK(checker.however("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno").reason == early);
  CHECK(checker.however("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno").reason == early);
}

TEST_CASE("What is no HTTP is shown", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN);
  CHECK(checker.after({"SSH-2.0-OpenSSH_9.2\r\n"}, false).reason == "no HTTP answer but \"SSH-2.0-OpenSSH_9.2\\r\\n\"");
  CHECK(checker.after({std::string("\x15\x03\x01\0\x02", 5)}, false).reason ==
        "no HTTP answer but \"\\x15\\x03\\x01\\x00\\x02\"");
  CHECK(checker.after({"HTTP/1.1 OK\r\n\r\n"}, false).what == kFail);
  CHECK(checker.after({"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"}, false).what == kFail);
  CHECK(checker.after({"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"}, false).what == kFail);
  const CheckerFixture body(LEMONADE_PLUGIN, {{"body", "ok"}});
  CHECK(body.after({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}, false)
            .reason.find("the body of the answer is broken") == 0);
}

TEST_CASE("What HAProxy takes is taken however the answer is split", "[http]") {
  // The same list was shown to HAProxy 2.6.
  const CheckerFixture plain(LEMONADE_PLUGIN), body(LEMONADE_PLUGIN, {{"body", "ok"}});
  const std::string none = "Content-Length: 0\r\n\r\n";
  for (const auto& line : {"HTTP/1.1 200\r\n", "HTTP/1.1 200 \r\n", "HTTP/1.1  200 OK\r\n", "HTTP/1.1\t200\tOK\r\n",
                           "HTTP/1.0 200 OK\r\n", "HTTP/1.2 200 OK\r\n", "HTTP/2.0 200 OK\r\n", "HTTP/1.1 0200 OK\r\n",
                           "\r\nHTTP/1.1 200 OK\r\n", "\n\nHTTP/1.1 200 OK\n", "HTTP/1.1 200 \xe9\x01\r\n"}) {
    CAPTURE(line);
    CHECK(plain.however(line + none).what == kPass);
  }
  for (const auto& header : {"A: x\r\n y\r\n", "A: \xe9\x01\r\n", "A: x\n", "Content-Length: 0, 0\r\n", "A:\r\n"}) {
    CAPTURE(header);
    CHECK(plain.however(std::string("HTTP/1.1 200 OK\r\n") + header + none).what == kPass);
  }
  CHECK(plain.however("HTTP/1.1 200 OK\n\n").what == kPass);
  // Both framings at once: the chunks count.
  for (const auto& both :
       {"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: Chunked\r\nContent-Length: 1\r\n"})
    CHECK(body.however(std::string("HTTP/1.1 200 OK\r\n") + both + "\r\n1\r\no\r\n1 ; a=b\r\nk\r\n0\r\n\r\n").what ==
          kPass);
  CHECK(body.however("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\no\n1\nk\n0\n\n").what == kPass);
  CHECK(body.however("HTTP/1.1 200 OK\nContent-Length: 2\n\nok").what == kPass);
}

TEST_CASE("What HAProxy refuses is refused however the answer is split", "[http]") {
  const CheckerFixture plain(LEMONADE_PLUGIN);
  const std::string none = "Content-Length: 0\r\n\r\n";
  for (const auto& line :
       {"HTTP/1.10 200 OK\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 2x0 OK\r\n",
        "HTTP/1.1 200x OK\r\n", "HTTP/1.1 200 O\rK\r\n", "HTTP/1.1 -200 OK\r\n", "HTTP/1.1 99999999999 OK\r\n",
        "HTTP/1.1 000 OK\r\n", "HTTP/1.1\r\n", "HTTP/1.1200 OK\r\n"}) {
    CAPTURE(line);
    CHECK(plain.however(line + none).what == kFail);
  }
  CHECK(plain.after({"http/1.1 200 OK\r\n" + none}).what == kFail);
  for (const auto& header :
       {"Bad : x\r\n", "Bad\r\n", ": x\r\n", " A: x\r\n", "A(b): x\r\n", "\xe9: x\r\n", "A: x\ry\r\n",
        "Content-Length: 1\r\n", "Content-Length: -1\r\n", "Content-Length: +0\r\n", "Content-Length:\r\n",
        "Content-Length: 99999999999999999999999\r\n", "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n"}) {
    CAPTURE(header);
    CHECK(plain.however(std::string("HTTP/1.1 200 OK\r\n") + header + none).what == kFail);
  }
}

TEST_CASE("A head may be 16 KiB long and not a byte more however it is split", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN);
  const std::string begin = "HTTP/1.1 200 OK\r\nX: ", end = "\r\nContent-Length: 0\r\n\r\n";
  const auto head = [&](std::size_t size) { return begin + std::string(size - begin.size() - end.size(), 'x') + end; };
  CHECK(checker.after({head(16 * 1024)}).what == kPass);
  CHECK(checker.after({head(16 * 1024 + 1)}).reason == "the head of the answer is longer than 16 KiB");
  const auto longer = head(20 * 1024);
  CHECK(checker.after({longer.substr(0, 10'000), longer.substr(10'000)}).what == kFail);
  // Also of many lines, and after an interim answer, which has a head of its own.
  std::string lines = "HTTP/1.1 200 OK\r\n";
  while (lines.size() < 17'000) lines += "A: x\r\n";
  CHECK(checker.after({lines + "\r\n"}).what == kFail);
  CHECK(checker.after({"HTTP/1.1 100 Continue\r\n\r\n" + head(16 * 1024)}).what == kPass);
}

TEST_CASE("What does not end is bounded", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN, {{"body", "ok"}});
  const auto flood = [&](const std::string& head, char byte) {
    Check check(checker);
    check.connected();
    check.data(head);
    Finding finding;
    int pieces = 0;
    for (; finding.what == kWait && pieces < 1000; ++pieces) finding = check.data(std::string(1000, byte));
    CHECK(pieces < 100);
    return finding.reason;
  };
  CHECK(flood("HTTP/1.1 200 OK\r\nX: ", 'x') == "the head of the answer is longer than 16 KiB");
  CHECK(flood("HTTP/1.1 200 ", 'x') == "the head of the answer is longer than 16 KiB");
  CHECK(flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", 'x') ==
        "a line of the answer is longer than 16 KiB");
  CHECK(flood("HTTP/1.1 200 OK\r\n\r\n", 'x') == "the body does not hold \"ok\"");
}

TEST_CASE("Random bytes never break the checker", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN, {{"body", "healthy"}});
  const std::string good = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\nX: y\r\n\r\n";
  std::uint32_t random = 1;
  const auto next = [&random](std::size_t below) { return (random = random * 1664525 + 1013904223) / 256 % below; };
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = good;
    for (std::size_t changes = 1 + next(3); changes > 0; --changes)
      bad[next(bad.size())] = static_cast<char>(next(256));
    const auto cut = next(bad.size());
    const auto finding = checker.after({bad.substr(0, cut), bad.substr(cut)});
    REQUIRE(finding.what == kFail);
    REQUIRE_FALSE(finding.reason.empty());
  }
}

TEST_CASE("A HEAD has an answer without a body", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN, {{"method", "HEAD"}});
  CHECK(checker.however("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n").what == kPass);
}

TEST_CASE("Errors and timeouts of the connection are left to the host's words", "[http]") {
  const CheckerFixture checker(LEMONADE_PLUGIN);
  Check refused(checker), late(checker);
  CHECK(refused.error(111).reason.empty());
  late.connected();
  const auto finding = late.timeout();
  CHECK((finding.what == kFail && finding.reason.empty()));
}

TEST_CASE("Options that cannot be used name the mend", "[http]") {
  for (const auto* bad : {"", "x", "200-", "299-200", "99", "600", "200,,300", "200;300", "-200", "200-299-300"})
    CHECK(refusalOf({{"status", bad}}) == "status: give codes and ranges from 100 to 599, such as \"200-299,301\"");
  CHECK(refusalOf({{"method", "GE T"}}).find("method: give a method of HTTP") == 0);
  for (const auto* bad : {"", "health", "/a b", "/a\r\nX: y", "/#x"})
    CHECK(refusalOf({{"path", bad}}).find("path: give a path that begins with \"/\"") == 0);
  CHECK(refusalOf({{"host", "a\r\nb"}}).find("host: give the value of the Host header") == 0);
  CHECK(refusalOf({{"headers", "no colon"}}) == "headers: \"no colon\" is no header: give one \"Name: value\" a line");
  CHECK(refusalOf({{"headers", "host: x"}}).find("host") != std::string::npos);
  CHECK(refusalOf({{"headers", "Content-Length: 3"}}).find("the checker itself decides") != std::string::npos);
  CHECK(refusalOf({{"method", "HEAD"}, {"body", "x"}}).find("body: the answer to a HEAD has no body") == 0);
}
