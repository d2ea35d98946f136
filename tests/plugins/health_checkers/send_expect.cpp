// SPDX-License-Identifier: MIT
#include "support/checker_fixture.h"

#include <catch2/catch.hpp>

using namespace lemonade::test;
using Check = CheckerFixture::Check;

namespace {

constexpr auto kPass = LEMONADE_VERDICT_PASS;
constexpr auto kFail = LEMONADE_VERDICT_FAIL;
constexpr auto kWait = LEMONADE_VERDICT_WAIT;
constexpr auto kSend = LEMONADE_VERDICT_SEND;

constexpr auto kRedis = R"(
# Redis
send "PING\r\n"
expect_not "-"
expect "+PONG\r\n"
)";

struct Scripted : CheckerFixture {
  explicit Scripted(const std::string& script) : CheckerFixture(LEMONADE_PLUGIN, {{"script", script}}) {}
};

std::string refusalOf(const std::string& script) {
  try {
    Scripted checker(script);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("A script asks and passes with the answer however that is split", "[send_expect]") {
  const Scripted redis(kRedis);
  Check check(redis);
  CHECK(check.connected().what == kSend);
  CHECK(check.sent() == "PING\r\n");
  CHECK(check.data("+PO").what == kWait);
  CHECK(check.data("NG\r").what == kWait);
  CHECK(check.data("\n").what == kPass);
  CHECK(redis.however("+PONG\r\n", false).what == kPass);
}

TEST_CASE("A script takes steps in order", "[send_expect]") {
  const Scripted smtp("expect \"220\"\nsend \"EHLO me\\r\\n\"\nexpect \"250 \"\nsend \"QUIT\\r\\n\"\nexpect \"221\"");
  Check check(smtp);
  CHECK(check.connected().what == kWait);
  CHECK(check.data("220-mx.example\r\n220 ").what == kSend);
  CHECK(check.sent() == "EHLO me\r\n");
  CHECK(check.data("ESMTP\r\n250-SIZE\r\n250").what == kWait);
  CHECK(check.data(" HELP\r\n").what == kSend);
  CHECK(check.sent() == "QUIT\r\n");
  CHECK(check.data("221 bye\r\n").what == kPass);
  CHECK(smtp.however("220 a\r\n250-x\r\n250 y\r\n221 bye\r\n").what == kPass);
}

TEST_CASE("Sends that follow each other go out as one", "[send_expect]") {
  const Scripted checker("send \"a\"\nsend \"b\"\nexpect \"c\"");
  Check check(checker);
  check.connected();
  CHECK(check.sent() == "ab");
}

TEST_CASE("One of several texts is enough", "[send_expect]") {
  const Scripted postgres(R"(send "\x00\x00\x00\x08\x04\xd2\x16\x2F"
expect "S" or "N")");
  Check check(postgres);
  check.connected();
  CHECK(check.sent() == std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8));
  CHECK(check.data("N").what == kPass);
  CHECK(postgres.however("S").what == kPass);
  CHECK(postgres.however("E").what == kFail);
}

TEST_CASE("A text that is refused fails the check and is shown", "[send_expect]") {
  const Scripted redis(kRedis);
  const auto finding = redis.after({"\r\n-LOADING Redis is loading\r\n"}, false);
  CHECK(finding.what == kFail);
  CHECK(finding.reason == "received \"-LOADING Redis is loading\\r\\n\", not \"+PONG\\r\\n\" (line 5)");
  CHECK(redis.after({"+PONG\r\n-"}, false).what == kPass);
  // The one that is complete first decides; of two at once the refused one.
  const Scripted either("expect_not \"abc\" or \"xy\"\nexpect \"bcd\" or \"y\"");
  CHECK(either.after({"abcd"}, false).what == kFail);
  CHECK(either.however("bcd", false).what == kPass);
  CHECK(either.however("xy", false).what == kFail);
}

TEST_CASE("A close says what was waited for and what came instead", "[send_expect]") {
  const Scripted redis(kRedis);
  CHECK(redis.after({}).reason == "closed before \"+PONG\\r\\n\" (line 5) came");
  CHECK(redis.however("HTTP/1.1 400 Bad\r\n").reason ==
        "closed before \"+PONG\\r\\n\" (line 5) came; received \"HTTP/1.1 400 Bad\\r\\n\"");
  CHECK(redis.however("+PONG").what == kFail);
}

TEST_CASE("A timeout says what was waited for and a failed connect is left to the host's words", "[send_expect]") {
  const Scripted redis(kRedis);
  Check late(redis), refused(redis), unanswered(redis);
  late.connected();
  late.data("+PO");
  CHECK(late.timeout().reason == "timed out waiting for \"+PONG\\r\\n\" (line 5); received \"+PO\"");
  CHECK(refused.error(111).reason.empty());
  CHECK(unanswered.timeout().reason.empty());
}

TEST_CASE("What is waited for is looked for in 64 KiB and no more", "[send_expect]") {
  const Scripted redis(kRedis);
  Check check(redis);
  check.connected();
  Finding finding;
  int bytes = 0;
  for (; finding.what == kWait && bytes < 200'000; ++bytes) finding = check.data("x");
  CHECK(bytes == 64 * 1024 + 1);
  CHECK(finding.reason.find("no \"+PONG\\r\\n\" (line 5) in 64 KiB; received \"xxx") == 0);
}

TEST_CASE("A script that cannot be used names line and mend", "[send_expect]") {
  CHECK(refusalOf("") == "script: the script has no step: give at least one expect \"text\"");
  CHECK(refusalOf("# nothing\n\n") == refusalOf(""));
  CHECK(refusalOf("expect \"a\"\nsend \"b\"\n\n") ==
        "script: line 2: nothing is expected after this step: end the script with an expect");
  CHECK(refusalOf("expect \"a\"\nexpect_not \"b\"").find("line 2: nothing is expected") != std::string::npos);
  CHECK(refusalOf("\nexpct \"a\"").find("line 2: \"expct\" is no step: begin the line with send") != std::string::npos);
  CHECK(refusalOf("expect a").find("line 1: give a text between quotes") != std::string::npos);
  CHECK(refusalOf("expect").find("line 1: give a text between quotes") != std::string::npos);
  CHECK(refusalOf("expect \"\"").find("line 1: the text is empty") != std::string::npos);
  CHECK(refusalOf("expect \"a\n").find("line 1: the text has no end: close it with a quote") != std::string::npos);
  CHECK(refusalOf("expect \"a\" \"b\"").find("separated by the word or") != std::string::npos);
  CHECK(refusalOf("expect \"a\" or").find("give a text between quotes") != std::string::npos);
  CHECK(refusalOf("send \"a\" or \"b\"\nexpect \"c\"").find("line 1: a send has one text") != std::string::npos);
  CHECK(refusalOf("expect \"\\q\"").find("line 1: the escapes are") != std::string::npos);
  CHECK(refusalOf("expect \"\\x1\"").find("line 1: \\x takes two") != std::string::npos);
  CHECK(refusalOf("expect \"\\").find("line 1: ") != std::string::npos);
}

TEST_CASE("Escapes and comments and blanks are read", "[send_expect]") {
  const Scripted checker("  send\t\"\\r\\n\\t\\0\\\\\\\"\\x7F # no comment\" # a comment\r\n\r\n expect \"a\"#x\r\n");
  Check check(checker);
  check.connected();
  CHECK(check.sent() == std::string("\r\n\t\0\\\"\x7f # no comment", 20));
  CHECK(check.data("a").what == kPass);
}

TEST_CASE("Random scripts and answers never break the checker", "[send_expect]") {
  const std::string parts[] = {"send ", "expect ", "expect_not ", "\"a\"", "\"ab\"", " or ", "\n", "\\x", "\"", "#"};
  std::uint32_t random = 7;
  const auto next = [&random](std::size_t below) { return (random = random * 1664525 + 1013904223) / 256 % below; };
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string script;
    for (std::size_t size = next(12); size > 0; --size) script += parts[next(std::size(parts))];
    std::string answer;
    for (std::size_t size = next(20); size > 0; --size) answer += "abc"[next(3)];
    if (!refusalOf(script).empty()) continue;
    ++accepted;
    CHECK(Scripted(script).however(answer).what >= kPass);
  }
  CHECK(accepted > 50);
}
