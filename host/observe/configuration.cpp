// SPDX-License-Identifier: MIT
#include "observe/configuration.h"

#include "base/json.h"
#include "base/log_line.h"
#include "config/effective.h"

#include <utility>

namespace lemonade {

std::string configurationJson(const config::Config& config, std::uint64_t generation) {
  Text text;
  rapidjson::PrettyWriter<Text, rapidjson::UTF8<>, rapidjson::UTF8<>, ThrowingAllocator> json(text);
  json.SetIndent(' ', 2);
  json.StartObject();
  json.Key("generation");
  json.Uint64(generation);
  json.Key("file");
  json.String(log::printable(config.file).c_str());
  json.Key("keys");
  json.StartObject();
  for (const auto& key : config::effective(config)) {
    json.Key(log::printable(key.path).c_str());
    json.String(log::printable(key.value).c_str());
  }
  json.EndObject();
  json.EndObject();
  return std::move(text.text) + "\n";
}

}  // namespace lemonade
