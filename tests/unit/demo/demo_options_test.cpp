// SPDX-License-Identifier: MIT
#include "demo/demo_options.h"

#include <Poco/TemporaryFile.h>

#include <catch2/catch.hpp>

#include <fstream>

using namespace lemonade;
using namespace lemonade::demo;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

/// A file that goes away with the test.
struct ConfigFile {
  explicit ConfigFile(const std::string& text) { std::ofstream(file.path()) << text; }
  Poco::TemporaryFile file;
};

std::string findingsOf(const LoadedDemo& loaded) {
  std::string lines;
  for (const auto& finding : loaded.findings) lines += finding.line() + "\n";
  return lines;
}

}  // namespace

TEST_CASE("A demonstration backend that is told nothing has defaults", "[demo]") {
  const auto loaded = loadDemoOptions({});
  REQUIRE(loaded.ok());
  CHECK(loaded.options.listen_address == "127.0.0.1:8081");
  CHECK(loaded.options.name == "worker");
  CHECK(loaded.options.delay == 0ms);
}

TEST_CASE("The command line wins over variables and variables win over the file", "[demo]") {
  const ConfigFile config("[worker]\nlisten_address = \"127.0.0.1:1\"\nservice_name = \"file\"\nwork_delay_ms = 1\n");
  const auto from_file = loadDemoOptions({.file = config.file.path()});
  REQUIRE(findingsOf(from_file) == "");
  CHECK(from_file.options.listen_address == "127.0.0.1:1");
  CHECK(from_file.options.name == "file");
  CHECK(from_file.options.delay == 1ms);

  const config::Environment environment{{"LEMONADE_WORKER_LISTEN_ADDRESS", "127.0.0.1:2"},
                                        {"LEMONADE_WORKER_SERVICE_NAME", "variable"},
                                        {"LEMONADE_WORKER_WORK_DELAY_MS", "2"}};
  const auto from_environment = loadDemoOptions({.file = config.file.path(), .environment = environment});
  CHECK(from_environment.options.listen_address == "127.0.0.1:2");
  CHECK(from_environment.options.name == "variable");
  CHECK(from_environment.options.delay == 2ms);

  const auto spoken = loadDemoOptions(
      {.file = config.file.path(), .environment = environment, .address = "127.0.0.1:3", .name = "flag", .delay = "3"});
  CHECK(spoken.options.listen_address == "127.0.0.1:3");
  CHECK(spoken.options.name == "flag");
  CHECK(spoken.options.delay == 3ms);
}

TEST_CASE("All that a demonstration backend cannot use is named", "[demo]") {
  const ConfigFile config("[worker]\nservice_nam = \"x\"\n[proxy]\nbacklog = 1\n");
  const auto text = findingsOf(loadDemoOptions({.file = config.file.path(),
                                                .environment = {{"LEMONADE_WORKER_WORK_DELAY_MS", "soon"}},
                                                .address = "example.com:80",
                                                .name = ""}));
  CHECK_THAT(text, Contains(":2:1: unknown key worker.service_nam; did you mean service_name?"));
  CHECK_THAT(text, Contains(":3:2: proxy is not for a worker"));
  CHECK_THAT(text, Contains("LEMONADE_WORKER_WORK_DELAY_MS: worker.work_delay_ms is \"soon\""));
  CHECK_THAT(text, Contains("--address: worker.listen_address is \"example.com:80\"; give a numeric address"));
  CHECK_THAT(text, Contains("--name: worker.service_name is \"\""));
  CHECK_THAT(findingsOf(loadDemoOptions({.file = "/nonexistent.toml"})), Contains("No such file"));
}
