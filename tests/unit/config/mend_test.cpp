// SPDX-License-Identifier: MIT
//
// What an operator is told to write instead.
#include "support.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::config;
using namespace lemonade::config::test;
using Catch::Contains;

TEST_CASE("Text that is no TOML is answered with what to write instead", "[config]") {
  struct Case {
    const char* text;
    const char* place;
    const char* mend;
  };
  const Case cases[] = {
      {"[[backends]]\naddress = 127.0.0.1:80\n", ":2:", "put a text into quotes: address = \"127.0.0.1:80\""},
      {"[[backends]]\naddress = localhost:80 # here\n", ":2:", "put a text into quotes: address = \"localhost:80\""},
      {"[strategy]\nalgorithm = round_robin\n", ":2:", "put a text into quotes: algorithm = \"round_robin\""},
      {"[proxy]\nidle_timeout = 10s\n", ":2:", "put a text into quotes: idle_timeout = \"10s\""},
      {"[proxy]\nlisten_address = \u201c0.0.0.0:80\u201d\n", ":2:", "use straight quotes"},
      {"[[backends]]\naddress = \"127.0.0.1:80\nweight = 5\n", ":2:", "a text is not closed on its line"},
      {"[[backends]]\naddress = '127.0.0.1:80\nweight = 5\n", ":2:", "a text is not closed on its line"},
      {"; comment\n", ":1:1", "a comment begins with #"},
      {"// comment\n", ":1:1", "a comment begins with #"},
      {"[proxy]\nretries = 1 ; comment\n", ":2:13", "a comment begins with #"},
      {"[proxy]\nretries: 1\n", ":2:", "write key = value"},
      {"[[backends]\naddress = \"a:1\"\n", ":1:", "closes as it opens: [section] or [[backends]]"},
      {"[backends]\naddress = \"a:1\"\n[backends]\naddress = \"b:1\"\n", ":3:", "[[backends]] for each backend"},
      {"[proxy]\nretries = 1\nretries = 2\n", ":3:", "keep one of them"},
      {"[ejection]\nenabled = True\n", ":2:", "write true or false, in lower case"},
      {"[proxy]\nlisten_address = [\"a:1\", \"b:1\"\nretries = 2\n", ":3:", "a list ends with ]"},
      {"[proxy]\nretries = 010\n", ":2:", "leave out the zeros"},
      {"[plugins]\ncache_directory = \"C:\\plugins\"\n", ":2:", "a backslash"},
      {"[proxy]\nretries =\n", ":2:", "give a value behind the ="},
  };
  for (const auto& [text, place, mend] : cases) {
    CAPTURE(text);
    const auto findings = findingsOf(parsed(text));
    CHECK_THAT(findings, Contains(std::string("test.toml") + place) && Contains(mend) && Contains("no valid TOML: "));
  }
}

TEST_CASE("A table of backends instead of a list of tables is answered in words", "[config]") {
  CHECK_THAT(findingsOf(parsed("[backends]\naddress = \"a:1\"\n")), Contains("write [[backends]]"));
}

TEST_CASE("An address of the file system that is no Unix socket is answered in words", "[config]") {
  for (const auto& [address, mend] : {std::pair("/run/a.sock", "a Unix socket as \"unix:/...\""),
                                      std::pair("unix:a", "the whole path of a Unix socket")}) {
    CHECK_THAT(findingsOf(parsed("[[backends]]\naddress = \"" + std::string(address) + "\"\n")), Contains(mend));
    CHECK_THAT(findingsOf(parsed(kBackend + "[proxy]\nlisten_address = \"" + address + "\"\n")), Contains(mend));
    CHECK_THAT(findingsOf(parsed(kBackend + "[admin]\nlisten_address = \"" + address + "\"\n")), Contains("host:port"));
  }
}

TEST_CASE("Listeners that overlap through a wildcard are refused", "[config]") {
  const auto findings = [](const std::string& proxy, const std::string& admin) {
    return findingsOf(
        parsed(kBackend + "[proxy]\nlisten_address = " + proxy + "\n[admin]\nlisten_address = \"" + admin + "\"\n"));
  };
  CHECK_THAT(findings("\"0.0.0.0:9090\"", "127.0.0.1:9090"),
             Contains("127.0.0.1:9090 is listened on already") && Contains("0.0.0.0:9090"));
  CHECK_THAT(findings("\"127.0.0.1:9090\"", "0.0.0.0:9090"), Contains("listened on already"));
  CHECK_THAT(findings("[\"[::1]:80\", \"[::]:80\"]", ""), Contains("listened on already"));
  CHECK(findings("[\"0.0.0.0:80\", \"[::]:80\"]", "127.0.0.1:81") == "");
  CHECK(findings("[\"127.0.0.1:80\", \"127.0.0.2:80\", \"0.0.0.0:0\"]", "0.0.0.0:0") == "");
}

TEST_CASE("Backends of whom none can be picked are worth a warning", "[config]") {
  const std::string off =
      "[[backends]]\naddress = \"a:1\"\nenabled = false\n[[backends]]\naddress = \"b:1\"\nweight = 0\n";
  const auto loaded = parsed(off);
  CHECK(loaded.ok());
  CHECK_THAT(findingsOf(loaded), Contains("warning: no backend can be picked"));
  CHECK(findingsOf(parsed(off + kBackend)) == "");
}
