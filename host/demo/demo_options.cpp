// SPDX-License-Identifier: MIT
#include "demo/demo_options.h"

#include "config/file.h"
#include "config/host_port.h"
#include "config/tree.h"

namespace lemonade::demo {
namespace {

using config::Findings;
using config::Form;
using config::Item;
using config::Key;

/// One setting and its three names.
struct Setting {
  Key<DemoOptions> key;
  const char* variable;
  const char* flag;
  std::optional<std::string> DemoInput::*spoken;
  Form form;
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
  return {
      {{"worker", "listen_address", config::field<DemoOptions>(&DemoOptions::listen_address, readAddress)},
       "LEMONADE_WORKER_LISTEN_ADDRESS",
       "--address",
       &DemoInput::address,
       Form::kText},
      {{"worker", "service_name", config::field<DemoOptions>(&DemoOptions::name, readName)},
       "LEMONADE_WORKER_SERVICE_NAME",
       "--name",
       &DemoInput::name,
       Form::kText},
      {{"worker", "work_delay_ms", config::duration(&DemoOptions::delay, Duration::zero(), hours(1))},
       "LEMONADE_WORKER_WORK_DELAY_MS",
       "--delay",
       &DemoInput::delay,
       Form::kNumber},
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
    if (name.str() != "worker" || table == nullptr) {
      findings.error(config::sourceOf(file, name.source()),
                     std::string(name.str()) + " is not for a worker; write its keys under [worker]");
      continue;
    }
    config::eachKnownKey(file, "worker", *table, keys, findings, [&](const auto& key, const auto& value) {
      key.field.read({key.path(), value, config::sourceOf(file, value.source()), findings}, options);
    });
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
    const auto variable = input.environment.find(setting.variable);
    if (variable != input.environment.end() && !variable->second.empty()) {
      config::readText(setting.key, setting.form, variable->second, {setting.variable, 0, 0}, options, findings);
    }
    if (const auto& spoken = input.*setting.spoken) {
      config::readText(setting.key, setting.form, *spoken, {setting.flag, 0, 0}, options, findings);
    }
  }
  return {std::move(options), std::move(findings).take()};
}

}  // namespace lemonade::demo
