// SPDX-License-Identifier: MIT
#include "base/log_line.h"

#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

using namespace lemonade;
using namespace lemonade::log;

namespace {

constexpr std::int64_t kTime = 1'795'448'400'123'456;  // 2026-11-23T15:40:00.123456Z

std::string lineOf(const std::string& message, std::vector<Field> fields, Format format = Format::kText) {
  return formatLine({kTime, Level::kInfo, "health", message, fields}, format);
}

}  // namespace

TEST_CASE("A text line holds time and level and component and fields in their order", "[log]") {
  CHECK(lineOf("backend is down", {{"backend", "web-1"}, {"address", "10.0.1.10:80"}, {"a", "1"}}) ==
        "2026-11-23T15:40:00.123456Z INFO health: backend is down backend=web-1 address=10.0.1.10:80 a=1\n");
}

TEST_CASE("A text value is quoted where it would be misread", "[log]") {
  CHECK_THAT(lineOf("m", {{"v", "connection refused"}}), Catch::EndsWith(" v=\"connection refused\"\n"));
  CHECK_THAT(lineOf("m", {{"v", ""}}), Catch::EndsWith(" v=\"\"\n"));
  CHECK_THAT(lineOf("m", {{"v", "a\"b\\c"}}), Catch::EndsWith(" v=\"a\\\"b\\\\c\"\n"));
  CHECK_THAT(lineOf("m", {{"v", "a=b"}}), Catch::EndsWith(" v=\"a=b\"\n"));
  CHECK_THAT(lineOf("m", {{"v", "h\xC3\xA9"}}), Catch::EndsWith(" v=\"h\xC3\xA9\"\n"));
}

TEST_CASE("Nobody forges a line or a terminal command", "[log]") {
  const auto line = lineOf("first\nsecond", {{"v", "x\r\n2026 INFO forged: y\x1b[2J\x7f\tz"}, {"a\nb", "1"}});
  CHECK(line.find('\n') == line.size() - 1);
  CHECK(line.find('\x1b') == std::string::npos);
  CHECK_THAT(line, Catch::Contains("health: first\\nsecond ") &&
                       Catch::Contains("v=\"x\\x0d\\n2026 INFO forged: y\\x1b[2J\\x7f\\tz\""));
  CHECK_THAT(lineOf("m", {{"v",
                           "a\xE2\x80\xA8"
                           "b\xC2\x85"
                           "c"}}),
             Catch::EndsWith("v=\"a\\xe2\\x80\\xa8b\\xc2\\x85c\"\n"));
}

TEST_CASE("Bytes that are no UTF-8 are escaped", "[log]") {
  CHECK_THAT(lineOf("m", {{"v", "a\xff\xC3"}}), Catch::EndsWith(" v=\"a\\xff\\xc3\"\n"));
  CHECK_THAT(lineOf("m", {{"v", "\xE2\x82"}}), Catch::EndsWith(" v=\"\\xe2\\x82\"\n"));
}

TEST_CASE("A JSON line is one object with the fields in their order", "[log]") {
  CHECK(lineOf("backend is down", {{"backend", "web-1"}, {"attempts", 2U}}, Format::kJson) ==
        "{\"time\":\"2026-11-23T15:40:00.123456Z\",\"level\":\"INFO\",\"component\":\"health\","
        "\"message\":\"backend is down\",\"backend\":\"web-1\",\"attempts\":2}\n");
}

TEST_CASE("Numbers and truths are written as such in JSON and plain in text", "[log]") {
  const std::vector<Field> fields = {{"id", "7"},
                                     {"least", std::int64_t{-9'223'372'036'854'775'807 - 1}},
                                     {"most", std::uint64_t{18'446'744'073'709'551'615U}},
                                     {"took_ms", log::milliseconds(1'234'567)},
                                     {"whole", Decimal{2, 1}},
                                     {"on", true},
                                     {"off", false}};
  CHECK_THAT(lineOf("m", fields, Format::kJson),
             Catch::EndsWith("\"id\":\"7\",\"least\":-9223372036854775808,\"most\":18446744073709551615,"
                             "\"took_ms\":1.235,\"whole\":2,\"on\":true,\"off\":false}\n"));
  CHECK_THAT(
      lineOf("m", fields),
      Catch::EndsWith(" id=7 least=-9223372036854775808 most=18446744073709551615 took_ms=1.235 whole=2.0 on=true "
                      "off=false\n"));
}

TEST_CASE("A number that JSON cannot spell is text there", "[log]") {
  const std::vector<Field> fields = {{"none", Decimal{std::nan(""), 1}}, {"most", Decimal{HUGE_VAL, 1}}};
  CHECK_THAT(lineOf("m", fields, Format::kJson), Catch::EndsWith("\"none\":\"nan\",\"most\":\"inf\"}\n"));
}

TEST_CASE("A JSON line stays valid whatever the values hold", "[log]") {
  const auto line = lineOf("a\nb", {{"v", "x\"\\\n\x01\xff\xC3\xA9"}, {"time", "7"}}, Format::kJson);
  CHECK(line.find('\n') == line.size() - 1);
  const auto object = Poco::JSON::Parser().parse(line).extract<Poco::JSON::Object::Ptr>();
  CHECK(object->getValue<std::string>("v") == "x\"\\\n\x01\xEF\xBF\xBD\xC3\xA9");
  CHECK(object->getValue<std::string>("time") == "2026-11-23T15:40:00.123456Z");
  CHECK(object->getValue<std::string>("time_") == "7");
}
