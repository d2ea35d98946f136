// SPDX-License-Identifier: MIT
//
// What the tests of metrics share: sinks made from a table of the test's own, and the shipped ones from their files.
#pragma once

#include "metrics/sink.h"
#include "plugin/options.h"

#include <lemonade/sdk/metrics_sink.hpp>

#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

namespace lemonade::metrics::test {

using namespace std::chrono_literals;

/// What calls of a sink wait at while it is shut, and where a test waits for what they have done.
struct Door {
  std::mutex mutex;  // guards all that is in what is derived, too
  std::condition_variable changed;
  bool open = false;

  template <class Condition>
  bool eventually(Condition condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 10s, condition);
  }
  void setOpen(bool value) {
    const std::lock_guard lock(mutex);
    open = value;
    changed.notify_all();
  }
};

inline std::string text(lemonade_str_t str) { return std::string(sdk::view(str)); }

/// A host that keeps what a plugin logs. Outlives the instance.
struct RecordingHost {
  RecordingHost() {
    table.struct_size = sizeof(table);
    table.context = this;
    table.log = [](void* context, std::uint32_t, lemonade_str_t message) noexcept {
      static_cast<RecordingHost*>(context)->lines.push_back(text(message));
    };
  }
  lemonade_host_t table{};
  std::vector<std::string> lines;
};

/// A shipped sink, created with the options given and its defaults.
inline SinkHandle loadSink(const std::string& id, RecordingHost& host, config::OptionTable options = {}) {
  const std::string file = std::string(LEMONADE_TEST_PLUGINS) + "/" + id + ".so";
  void* const image = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  INFO(file << ": " << (image == nullptr ? ::dlerror() : "loaded"));
  REQUIRE(image != nullptr);
  const auto* const plugin = static_cast<const lemonade_plugin_t*>(::dlsym(image, LEMONADE_ENTRY_SYMBOL));
  REQUIRE(plugin != nullptr);
  const auto& table = *static_cast<const lemonade_metrics_sink_t*>(
      plugin->get_interface(LEMONADE_STR(LEMONADE_METRICS_SINK_INTERFACE)));
  std::vector<plugin::OptionProblem> problems;
  const auto set = plugin::OptionSet::build(*plugin, {.id = id, .source = {}, .options = std::move(options)}, problems);
  REQUIRE(problems.empty());
  const auto values = set.get();
  void* self = nullptr;
  auto error = plugin::emptyError();
  REQUIRE(table.create(&host.table, &values, &self, &error) == LEMONADE_OK);
  return std::make_shared<plugin::Instance<lemonade_metrics_sink_t>>(
      table, self, plugin::InstanceInfo{.id = id, .version = "1.0.0", .file = ""}, nullptr);
}

/// What a pull sink writes of a snapshot.
inline std::string rendered(const SinkHandle& handle, const Snapshot& snapshot) {
  Sink sink(handle, {}, std::make_shared<SinkCounters>(), std::make_shared<Undertaker>(nullptr));
  auto result = sink.render(snapshot, "");
  REQUIRE(result.ok());
  return result.value().body;
}

/// What `promtool check metrics` says of a text; "" where it has nothing to say. Skips, with a line on standard error,
/// where it is not installed: tools/setup --test installs it.
inline std::string promtoolComplaints(const std::string& metrics) {
  if (std::system("command -v promtool >/dev/null") != 0) {
    WARN("promtool is not installed; tools/setup --test installs it");
    return "";
  }
  char name[] = "/tmp/lemonade-metrics-XXXXXX";
  const int fd = ::mkstemp(name);
  REQUIRE(fd >= 0);
  ::close(fd);
  std::ofstream(name) << metrics;
  const std::string command = std::string("promtool check metrics <") + name + " 2>&1; echo \"exit $?\"";
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  std::string said;
  for (int c; (c = std::fgetc(pipe)) != EOF;) said += static_cast<char>(c);
  ::pclose(pipe);
  std::filesystem::remove(name);
  return said == "exit 0\n" ? "" : said;
}

}  // namespace lemonade::metrics::test
