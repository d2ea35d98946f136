// SPDX-License-Identifier: MIT
//
// The access_log sink: what its lines hold in each format, and that they are whole, wherever they go.
#include "plugins/metrics_sinks/receiver.h"
#include "support/sink_fixture.h"

#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

using namespace lemonade::test;

namespace {

using Options = std::map<std::string, std::string>;
using Record = lemonade_session_record_t;

lemonade_str_t str(std::string_view text) { return {text.data(), text.size()}; }

/// A folder of its own, removed with all it holds.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "lemonade-access-log-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder like " + name);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A session that was served.
Record served() {
  Record record{};
  record.listener = LEMONADE_STR("web");
  record.pool = LEMONADE_STR("shop");
  record.backend = LEMONADE_STR("web-1");
  record.backend_name = LEMONADE_STR("Web one");
  record.backend_address = LEMONADE_STR("10.0.1.10:8080");
  record.client = LEMONADE_STR("203.0.113.7:4711");
  record.peer = LEMONADE_STR("10.9.9.9:333");
  record.backend_identity = 7;
  record.attempts = 2;
  record.started_unix_ns = 1'700'000'000'000'000'000;
  record.duration_ns = 1'500'250'000;
  record.queue_ns = 20'000'400;
  record.connect_ns = 999'600;
  record.first_byte_ns = 3'000'000;
  record.slowest_exchange_ns = 2'500'000;
  record.exchanges = 3;
  record.bytes_in = 78;
  record.bytes_out = 1'234;
  record.bytes_out_acknowledged = 1'233;
  record.flags = LEMONADE_RECORD_IN_ACKNOWLEDGED;
  record.bytes_in_acknowledged = 77;
  return record;
}

Record failed() {
  auto record = served();
  record.reason = LEMONADE_END_BACKEND_RESET;
  return record;
}

Record from(std::string_view client) {
  auto record = served();
  record.client = str(client);
  return record;
}

std::string contentOf(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

Strings linesOf(const std::string& text) {
  Strings lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// A sink that writes to a file of the test's own.
struct Logged {
  explicit Logged(Options options = {}) : sink(LEMONADE_PLUGIN, with(std::move(options), path())) {}
  std::string path() const { return (folder.path() / "access.log").string(); }
  Strings lines() const { return linesOf(contentOf(path())); }

  static Options with(Options options, const std::string& path) {
    options.emplace("to", path);
    return options;
  }

  const TemporaryDirectory folder;
  SinkFixture sink;
};

/// The only line of a session in a format.
std::string lineOf(const Record& record, const std::string& format) {
  Logged log(Options{{"format", format}});
  CHECK(log.sink.sessions({record}) == "");
  const auto lines = log.lines();
  REQUIRE(lines.size() == 1);
  return lines[0];
}

Poco::JSON::Object::Ptr parsed(const std::string& json) {
  return Poco::JSON::Parser().parse(json).extract<Poco::JSON::Object::Ptr>();
}

std::string refusal(const Options& options) {
  try {
    const SinkFixture sink(LEMONADE_PLUGIN, options);
    return "";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

/// Files may grow to so many bytes and no further: as a full disk, but for the error.
class Room {
 public:
  explicit Room(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);  // as the balancer does
    ::getrlimit(RLIMIT_FSIZE, &before_);
    set(bytes);
  }
  ~Room() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  void set(rlim_t bytes) const {
    auto limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("access_log writes the usual fields as name=value", "[access_log]") {
  CHECK(lineOf(served(), "text") ==
        "time=2023-11-14T22:13:21.500250Z listener=web pool=shop backend=web-1 backend_address=10.0.1.10:8080 "
        "client=203.0.113.7:4711 peer=10.9.9.9:333 reason=done error=false attempts=2 queue_ms=20.000 connect_ms=1.000 "
        "first_byte_ms=3.000 slowest_exchange_ms=2.500 duration_ms=1500.250 exchanges=3 bytes_in=78 bytes_out=1234 "
        "bytes_out_acked=1233 bytes_in_acked=77");
}

TEST_CASE("access_log writes a field without a value as a dash, and a dash in quotes", "[access_log]") {
  auto record = served();
  record.backend = {};
  record.pool = LEMONADE_STR("-");
  CHECK_THAT(lineOf(record, "text"), Catch::Contains("pool=\"-\" backend=- "));
  CHECK(lineOf(record, "[{backend}] {pool}") == "[-] -");
}

TEST_CASE("access_log says of what is not known of a session that it is not", "[access_log]") {
  auto record = served();
  record.flags = 0;
  CHECK_THAT(lineOf(record, "text"), Catch::EndsWith(" bytes_in_acked=-"));
  CHECK(lineOf(record, "{bytes_in_acked}") == "-");
  CHECK(parsed(lineOf(record, "json"))->isNull("bytes_in_acked"));
}

TEST_CASE("access_log keeps a line one line whatever names and addresses hold", "[access_log]") {
  const std::string_view hostile("unix:/run/a b\n\"time=1\" \\x\xff\0end", 30);
  const auto text = lineOf(from(hostile), "text");
  CHECK_THAT(text, Catch::Contains(R"(client="unix:/run/a b\n\"time=1\" \\x\xff\x00end" peer=)"));
  CHECK(lineOf(from(hostile), "{client}|{peer}") ==
        R"(unix:/run/a\x20b\x0a\x22time=1\x22\x20\x5cx\xff\x00end|10.9.9.9:333)");
  CHECK(lineOf(from("a=b"), "{client}") == "a=b");
  CHECK_THAT(lineOf(from("a=b"), "text"), Catch::Contains(R"(client="a=b")"));
}

TEST_CASE("access_log writes one JSON object a line, with numbers as numbers", "[access_log]") {
  const auto json = parsed(lineOf(served(), "json"));
  CHECK(json->getValue<std::string>("time") == "2023-11-14T22:13:21.500250Z");
  CHECK(json->getValue<std::string>("client") == "203.0.113.7:4711");
  CHECK(json->getValue<std::string>("reason") == "done");
  CHECK_FALSE(json->getValue<bool>("error"));
  CHECK(json->getValue<double>("duration_ms") == Approx(1500.25));
  CHECK(json->getValue<double>("connect_ms") == Approx(1.0));
  CHECK(json->getValue<std::uint64_t>("bytes_out") == 1'234);
  CHECK(json->getValue<std::uint64_t>("attempts") == 2);
  CHECK(json->getValue<std::uint64_t>("bytes_in_acked") == 77);
  CHECK(json->size() == 20);
}

TEST_CASE("access_log escapes in JSON what has to be, and replaces what is no UTF-8", "[access_log]") {
  CHECK(parsed(lineOf(from("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8d\x8b \"q\" \\ \x01\n"), "json"))
            ->getValue<std::string>("client") == "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8d\x8b \"q\" \\ \x01\n");
  // A byte that begins nothing, a character cut short, a surrogate, one encoded too long, and one after the last.
  for (const char* wrong : {"a\xff", "a\xe2\x82", "a\xed\xa0\x80", "a\xc0\xaf", "a\xf4\x90\x80\x80", "\x80z"}) {
    const auto line = lineOf(from(wrong), "json");
    CAPTURE(line);
    const auto client = parsed(line)->getValue<std::string>("client");
    CHECK_THAT(client, Catch::Contains("\xef\xbf\xbd"));
    CHECK(client.find_first_of("\xff\xc0\xf4") == std::string::npos);
  }
}

TEST_CASE("access_log writes a line as it is told, with braces where they are doubled", "[access_log]") {
  CHECK(lineOf(served(), "{client} -> {backend_name}: {{{duration_ms} ms}} {started} {unanswered}!") ==
        R"(203.0.113.7:4711 -> Web\x20one: {1500.250 ms} 2023-11-14T22:13:20.000000Z false!)");
}

TEST_CASE("access_log names all fields where a format has one that is unknown", "[access_log]") {
  const auto unknown = refusal({{"format", "{client} {bakend}"}});
  CHECK_THAT(unknown, Catch::StartsWith("format: there is no field {bakend}; the fields are time, "));
  CHECK_THAT(unknown, Catch::EndsWith("bytes_out, bytes_out_acked, bytes_in_acked"));
}

TEST_CASE("access_log refuses a format that cannot be meant", "[access_log]") {
  CHECK_THAT(refusal({{"format", "texts"}}), Catch::StartsWith("format: give \"text\", \"json\" or"));
  CHECK_THAT(refusal({{"format", "{client"}}), Catch::Contains("brace"));
  CHECK_THAT(refusal({{"format", "client} {peer}"}}), Catch::Contains("brace"));
  CHECK_THAT(refusal({{"format", "{client}\n"}}), Catch::Contains("line break"));
}

TEST_CASE("access_log says what is wrong with a place that it cannot write to", "[access_log]") {
  CHECK_THAT(refusal({{"to", "access.log"}}), Catch::StartsWith("to: give a path that begins with \"/\""));
  CHECK_THAT(refusal({{"to", "/nonexistent/access.log"}}),
             Catch::Equals("to: cannot open /nonexistent/access.log: No such file or directory; its folder has to "
                           "exist, and the balancer has to be allowed to write there"));
  CHECK_THAT(refusal({{"to", "syslog:tcp:127.0.0.1:514"}}), Catch::Contains("syslog:udp:host:port"));
  CHECK_THAT(refusal({{"to", "syslog:udp:127.0.0.1"}}), Catch::Contains("syslog:udp:host:port"));
  CHECK_THAT(refusal({{"to", "syslog:udp:unix:/dev/log"}}), Catch::Contains("syslog:udp:host:port"));
  CHECK_THAT(refusal({{"to", "syslog:unix:log"}}), Catch::Contains("syslog:unix:/dev/log"));
  const TemporaryDirectory folder;
  const auto fifo = (folder.path() / "fifo").string();
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK_THAT(refusal({{"to", fifo}}), Catch::Contains("No such device or address"));
}

TEST_CASE("access_log makes a file that others cannot read, and adds to one that is there", "[access_log]") {
  const auto mask = ::umask(0);
  Logged log(Options{{"format", "{client}"}});
  ::umask(mask);
  struct stat what {};
  REQUIRE(::stat(log.path().c_str(), &what) == 0);
  CHECK((what.st_mode & 0777U) == 0640);
  std::ofstream(log.path(), std::ios::app) << "before\n";
  CHECK(log.sink.sessions({from("a"), from("b")}) == "");
  CHECK(log.lines() == Strings{"before", "a", "b"});
}

TEST_CASE("access_log writes on to a file that was moved until it is told to open it anew", "[access_log]") {
  Logged log(Options{{"format", "{client}"}});
  CHECK(log.sink.sessions({from("a")}) == "");
  std::filesystem::rename(log.path(), log.path() + ".1");
  CHECK(log.sink.sessions({from("b")}) == "");
  CHECK(log.sink.reopen() == "");
  CHECK(log.sink.sessions({from("c")}) == "");
  CHECK(linesOf(contentOf(log.path() + ".1")) == Strings{"a", "b"});
  CHECK(log.lines() == Strings{"c"});
}

TEST_CASE("access_log keeps the file that it has where it cannot be opened anew", "[access_log]") {
  Logged log(Options{{"format", "{client}"}});
  const auto moved = log.folder.path() / "moved";
  std::filesystem::rename(log.path(), moved);
  std::filesystem::create_directory(log.path());
  CHECK_THAT(log.sink.reopen(), Catch::Contains("Is a directory"));
  CHECK(log.sink.sessions({from("a")}) == "");
  CHECK(linesOf(contentOf(moved)) == Strings{"a"});
}

TEST_CASE("access_log counts the lines for which a disk has no room, and goes on when it has", "[access_log]") {
  Logged log(Options{{"format", "{client}"}});
  {
    const Room room(10);
    CHECK_THAT(log.sink.sessions({from("aaaa"), from("bbbb"), from("cccc"), from("dddd")}),
               Catch::Equals("cannot write to " + log.path() + ": File too large"));
    CHECK(log.sink.metric("access_log_lines_lost_total") == 2);
    CHECK(contentOf(log.path()) == "aaaa\nbbbb\n");
    room.set(12);
    CHECK_THAT(log.sink.sessions({from("eeee"), from("ffff")}), Catch::Contains("File too large"));
    CHECK(contentOf(log.path()) == "aaaa\nbbbb\nee");
    CHECK(log.sink.metric("access_log_lines_lost_total") == 3);
    CHECK_THAT(log.sink.sessions({from("gggg")}), Catch::Contains("File too large"));
    CHECK(log.sink.metric("access_log_lines_lost_total") == 4);
  }
  CHECK(log.sink.sessions({from("hhhh")}) == "");
  CHECK(log.lines() == Strings{"aaaa", "bbbb", "eeee", "hhhh"});
}

TEST_CASE("access_log writes a line that was cut short whole into the file that is opened next", "[access_log]") {
  Logged log(Options{{"format", "{client}"}});
  {
    const Room room(2);
    CHECK_THAT(log.sink.sessions({from("aaaa"), from("bbbb")}), Catch::Contains("File too large"));
  }
  std::filesystem::rename(log.path(), log.path() + ".1");
  CHECK(log.sink.reopen() == "");
  CHECK(log.sink.sessions({from("cccc")}) == "");
  CHECK(log.lines() == Strings{"aaaa", "cccc"});
}

TEST_CASE("access_log reports a device that has no room", "[access_log]") {
  SinkFixture sink(LEMONADE_PLUGIN, {{"to", "/dev/full"}});
  CHECK(sink.sessions({served()}) == "cannot write to /dev/full: No space left on device");
  CHECK(sink.metric("access_log_lines_lost_total") == 1);
}

TEST_CASE("access_log waits for a reader of a FIFO no longer than it may, and leaves no part of a line there",
          "[access_log]") {
  const TemporaryDirectory folder;
  const auto fifo = (folder.path() / "fifo").string();
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  SinkFixture sink(LEMONADE_PLUGIN, {{"to", fifo}, {"format", "{client}"}});
  const std::string line(999, 'x');
  CHECK_THAT(sink.sessions(std::vector<Record>(200, from(line)), std::chrono::milliseconds(50)),
             Catch::Contains("nobody reads what was written before"));
  std::string got;
  char bytes[65'536];
  for (ssize_t size = 0; (size = ::read(reader, bytes, sizeof(bytes))) > 0;)
    got.append(bytes, static_cast<std::size_t>(size));
  CHECK(got.size() % 1'000 == 0);
  CHECK(sink.metric("access_log_lines_lost_total") == 200 - static_cast<std::int64_t>(got.size() / 1'000));
  ::close(reader);
}

TEST_CASE("access_log writes the sessions that ended in an error only, where it is told so", "[access_log]") {
  auto asked = served();
  asked.reason = LEMONADE_END_CLIENT_RESET;
  asked.flags = LEMONADE_RECORD_UNANSWERED;
  auto left = served();
  left.reason = LEMONADE_END_ABANDONED;
  auto later = served();
  later.reason = 99;
  Logged log(Options{{"format", "{reason}"}, {"only", "errors"}});
  CHECK(log.sink.sessions({served(), failed(), asked, left, later}) == "");
  CHECK(log.lines() == Strings{"backend-reset", "client-reset", "unknown"});
}

TEST_CASE("access_log writes a share of the sessions, and every error", "[access_log]") {
  Logged log(Options{{"format", "{error}"}, {"sample", "0.25"}});
  std::vector<Record> records(4'000, served());
  records.insert(records.end(), 100, failed());
  CHECK(log.sink.sessions(records) == "");
  const auto lines = log.lines();
  CHECK(std::count(lines.begin(), lines.end(), "true") == 100);
  const auto others = std::count(lines.begin(), lines.end(), "false");
  CHECK(others > 800);
  CHECK(others < 1'200);
}

TEST_CASE("access_log sends syslog messages as RFC 5424 has them", "[access_log]") {
  const TemporaryDirectory folder;
  const bool over_udp = GENERATE(true, false);
  const Receiver udp(AF_INET), local((folder.path() / "log").string());
  const Receiver& receiver = over_udp ? udp : local;
  SinkFixture sink(LEMONADE_PLUGIN, {{"to", over_udp ? "syslog:udp:" + udp.address()
                                                     : "syslog:unix:" + (folder.path() / "log").string()},
                                     {"facility", "local3"},
                                     {"format", "{client}"}});
  CHECK(sink.sessions({from("a"), failed()}) == "");
  const auto datagrams = receiver.datagrams();
  REQUIRE(datagrams.size() == 2);
  // PRI VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA SP MSG
  const std::regex rfc5424(
      R"(<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) lemonade (\d+) session - (.*))");
  std::smatch match;
  REQUIRE(std::regex_match(datagrams[0], match, rfc5424));
  CHECK(match[1] == "158");  // local3 is 19: 19 * 8 + 6
  CHECK(match[2] == "2023-11-14T22:13:21.500250Z");
  CHECK(match[4] == std::to_string(::getpid()));
  CHECK(match[5] == "a");
  REQUIRE(std::regex_match(datagrams[1], match, rfc5424));
  CHECK(match[1] == "156");
}

TEST_CASE("access_log cuts a syslog message that is too long, between two characters", "[access_log]") {
  const Receiver receiver(AF_INET);
  std::string longest;
  for (int i = 0; i < 500; ++i) longest += "\xe2\x82\xac";
  SinkFixture sink(LEMONADE_PLUGIN,
                   {{"to", "syslog:udp:" + receiver.address()}, {"packet_bytes", "480"}, {"format", "json"}});
  auto record = served();
  record.listener = str(longest);
  CHECK(sink.sessions({record, served()}) == "");
  const auto datagrams = receiver.datagrams();
  REQUIRE(datagrams.size() == 2);
  CHECK(datagrams[0].size() <= 480);
  CHECK(datagrams[0].size() >= 478);
  CHECK_THAT(datagrams[0], Catch::EndsWith("\xe2\x82\xac"));
  CHECK(sink.metric("access_log_messages_cut_total") >= 1);
}

TEST_CASE("access_log counts what a syslog server does not get, and goes on when it is there again", "[access_log]") {
  const TemporaryDirectory folder;
  const auto path = (folder.path() / "log").string();
  SinkFixture sink(LEMONADE_PLUGIN, {{"to", "syslog:unix:" + path}, {"format", "{client}"}});
  CHECK_THAT(sink.sessions({from("a"), from("b")}), Catch::Contains("No such file or directory"));
  CHECK(sink.metric("access_log_lines_lost_total") == 2);
  {
    const Receiver receiver(path);
    CHECK(sink.sessions({from("c")}) == "");
    CHECK(receiver.datagrams().size() == 1);
  }
  std::filesystem::remove(path);
  const Receiver receiver(path);
  CHECK(sink.reopen() == "");
  CHECK(sink.sessions({from("d")}) == "");
  CHECK(receiver.datagrams().size() == 1);
  CHECK(sink.metric("access_log_lines_lost_total") == 2);
}
