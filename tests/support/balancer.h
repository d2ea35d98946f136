// SPDX-License-Identifier: MIT
//
// The real balancer, started by a test: a configuration in a folder of its own, ports chosen by the kernel, and the
// questions tests ask of a running one.
#pragma once

#include "support/http.h"
#include "support/process.h"
#include "support/socket.h"

#include <Poco/JSON/Object.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::test {

/// A folder of its own, removed with all it holds.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file into it; returns the file's path.
  std::string write(const std::string& name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

/// A configuration file in the making. It starts out fit for tests: loopback, ports chosen by the kernel, round robin,
/// two workers, a checker that calls every backend alive, a short drain, no preflight at the start.
class Config {
 public:
  Config();
  /// A file of exactly this text.
  static Config verbatim(const std::string& text);
  /// Keys are dotted: "proxy.retries". A later value replaces an earlier one.
  Config& set(const std::string& key, int value) { return raw(key, std::to_string(value)); }
  Config& set(const std::string& key, bool value) { return raw(key, value ? "true" : "false"); }
  Config& set(const std::string& key, const char* value) { return set(key, std::string(value)); }
  Config& set(const std::string& key, const std::string& value) { return raw(key, "\"" + value + "\""); }
  /// value as TOML writes it.
  Config& raw(const std::string& key, const std::string& value);
  Config& unset(const std::string& key);
  /// Adds a backend; more is further lines of TOML, such as "weight = 5".
  Config& backend(const std::string& id, const std::string& address, const std::string& more = "");
  /// Adds a listener on a port that the kernel chooses; more is further lines of TOML.
  Config& listener(const std::string& name, const std::string& pool, const std::string& more = "");
  /// Adds TOML as it is, such as a [pools.web]. It comes after everything else.
  Config& toml(const std::string& text);
  /// Checks by the shipped tcp checker every 100 ms instead of calling every backend alive.
  Config& realChecks();

  std::string text() const;

 private:
  std::map<std::string, std::string> values_;
  std::string backends_;
  std::string rest_;
};

class Balancer {
 public:
  /// Starts it and waits until it is ready. Where LEMONADE_TEST_RELAY names a relay, that one must run, and the test is
  /// skipped where this machine has no io_uring. environment goes on top of LEMONADE_LOG=info,access=debug; wrapper is
  /// a command the balancer runs under.
  explicit Balancer(const Config& config, const Environment& environment = {}, const Arguments& wrapper = {});
  /// Stops it and fails the test where that is not graceful, which includes what a sanitizer found, or does not end
  /// with the code that was expected.
  ~Balancer();

  /// Where it listens for clients; listeners count in the order of the configuration.
  std::string address(std::size_t listener = 0);
  /// The first address of the listener of that name, as the status has it.
  std::string addressOf(const std::string& listener);
  std::string adminAddress();
  Socket connect(std::size_t listener = 0) { return Socket::connect(address(listener)); }
  /// Connects and takes the line a named() server greets with; empty where the balancer closed instead.
  std::string ask() { return askAt(address()); }
  /// The same of a listener by its name.
  std::string ask(const std::string& listener) { return askAt(addressOf(listener)); }

  HttpAnswer admin(const std::string& path) { return httpGet(adminAddress(), path); }
  Poco::JSON::Object::Ptr status();
  /// The backend of that id in the status.
  Poco::JSON::Object::Ptr backend(const std::string& id);
  /// Sessions of a backend now, as the status has it.
  int active(const std::string& id);
  /// The sum of all series of a metric whose labels contain all of `labels`, such as {"backend=\"a\""}.
  double metric(const std::string& name, const std::vector<std::string>& labels = {});

  /// It is to end with this code, not with 0.
  void expectCode(int code) { expected_code_ = code; }
  /// Sends SIGTERM and waits; the exit code.
  int stop(Millis within = 20s);
  Process& process() { return process_; }
  const TemporaryFolder& folder() const { return folder_; }

 private:
  void requireRelayUnderTest();
  static std::string askAt(const std::string& address);

  TemporaryFolder folder_;
  Process process_;
  int expected_code_ = 0;
};

/// The value of name=value in a line of the log; empty where it is not there.
std::string field(const std::string& line, const std::string& name);

/// Where the plugins built for these tests are, and one of them.
std::string testPluginFolder();
std::string testPlugin(const std::string& name);

}  // namespace lemonade::test
