// SPDX-License-Identifier: MIT
//
// A configuration: the file and, behind a line of "--- environment ---", variables, one NAME=VALUE a line.
#include "target.h"

#include "config/host_port.h"
#include "config/loader.h"

namespace config = lemonade::config;
using lemonade::fuzz::cut;
using lemonade::fuzz::require;

namespace {

config::Environment environmentOf(std::string_view lines) {
  config::Environment environment;
  while (!lines.empty()) {
    auto value = cut(lines, "\n");
    const auto name = cut(value, "=");
    environment.emplace(name, value);
  }
  return environment;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto rest = lemonade::fuzz::textOf(data, size);
  const auto file = cut(rest, "--- environment ---\n");
  config::Input input;
  input.environment = environmentOf(rest);
  const auto loaded = config::parse(file, "/nowhere/lemonade.toml", input);
  for (const auto& finding : loaded.findings) require(!finding.text.empty(), "a finding says what is wrong");
  if (!loaded.ok()) return 0;
  for (const auto& pool : loaded.config.pools) {
    require(!pool.backends.empty(), "a pool that is accepted has a backend");
    for (const auto& backend : pool.backends)
      require(!backend.host.empty() && (backend.port != 0 || config::isService(backend.host)),
              "a backend that is accepted has an address");
  }
  for (const auto& listener : loaded.config.listeners)
    require(!listener.addresses.empty(), "what is accepted listens somewhere");
  return 0;
}
