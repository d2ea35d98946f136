// SPDX-License-Identifier: MIT
#include "demo/demo_options.h"

#include "config/file.h"
#include "config/host_port.h"
#include "config/tree.h"
#include "config/values.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::demo {
namespace {

using config::Findings;
using config::Form;
using config::Item;
using config::Key;

constexpr const char* kTable = "worker";

/// A key, which names its variable, and the option of the command line for it.
struct Setting {
  Key<DemoOptions> key;
  const char* flag;
  std::optional<std::string> DemoInput::*spoken;

  std::string path() const { return std::string(kTable) + "." + key.name; }
};

void readAddress(const Item& item, DemoOptions& options) {
  const auto text = config::textOf(item, "give an address to listen on, such as \"127.0.0.1:8081\"");
  if (!text) return;
  auto address = config::parseListenAddress(*text);
  if (!address.ok()) return item.refuse(address.error().message);
  options.listen_address = std::move(address).value();
}

void readName(const Item& item, DemoOptions& options) {
  if (auto name = config::textOf(item, "give a name that is not empty")) options.name = std::move(*name);
}

std::vector<Setting> settings() {
  using std::chrono::hours;
  using K = Key<DemoOptions>;
  return {
      {K("listen_address",
         config::valueOf<DemoOptions>("string", "numeric address and port", Form::kText, &DemoOptions::listen_address,
                                      readAddress),
         "where it answers", "where it answers")
           .variable("LEMONADE_WORKER_LISTEN_ADDRESS"),
       "--address", &DemoInput::address},
      {K("service_name", config::valueOf<DemoOptions>("string", "not empty", Form::kText, &DemoOptions::name, readName),
         "the name in its answers", "the name in its answers")
           .variable("LEMONADE_WORKER_SERVICE_NAME"),
       "--name", &DemoInput::name},
      {K("work_delay_ms", config::duration(&DemoOptions::delay, Duration::zero(), hours(1)),
         "how long an answer to GET /work takes", "how long an answer to `GET /work` takes")
           .variable("LEMONADE_WORKER_WORK_DELAY_MS"),
       "--delay", &DemoInput::delay},
  };
}

void readFile(const std::string& file, const std::vector<Key<DemoOptions>>& keys, DemoOptions& options,
              Findings& findings) {
  const auto content = config::readContent(file, config::Streams::kRead);
  if (!content) return findings.error({file, 0, 0}, content.error().message);
  const auto root = config::parseTree(content.value().text, file, findings);
  if (!root) return;
  for (const auto& [name, node] : *root) {
    const auto* table = node.as_table();
    if (name.str() != kTable || table == nullptr) {
      findings.error(config::sourceOf(file, name.source()),
                     std::string(name.str()) + " is not for a worker; write its keys under [worker]");
      continue;
    }
    config::eachKey(config::Table{file, kTable, *table, findings}, keys, "",
                    [&options](const auto& key, const Item& item) { key.read(item, options); });
  }
}

}  // namespace

LoadedDemo loadDemoOptions(const DemoInput& input) {
  DemoOptions options;
  Findings findings;
  const auto all = settings();
  if (input.file) {
    std::vector<Key<DemoOptions>> keys;
    for (const auto& setting : all) keys.push_back(setting.key);
    readFile(*input.file, keys, options, findings);
  }
  for (const auto& setting : all) {
    const auto read = [&](const std::string& text, const std::string& where) {
      config::readText(setting.key, setting.path(), text, {where, 0, 0}, options, findings);
    };
    const auto& name = setting.key.facts.variable;
    const auto variable = input.environment.find(name);
    if (variable != input.environment.end() && !variable->second.empty()) read(variable->second, name);
    if (const auto& spoken = input.*setting.spoken) read(*spoken, setting.flag);
  }
  return {std::move(options), std::move(findings).take()};
}

}  // namespace lemonade::demo
