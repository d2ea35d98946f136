// SPDX-License-Identifier: MIT
//
// The http checker: options, one "key=value" a line, a line "--- answer ---", what the backend answers. The first byte
// of the answer is the size of its pieces.
#include "checker.h"

extern "C" const lemonade_plugin_t lemonade_plugin_v1;
using lemonade::fuzz::cut;
using lemonade::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto rest = lemonade::fuzz::textOf(data, size);
  auto lines = cut(rest, "--- answer ---\n");
  std::map<std::string, std::string, std::less<>> options;
  while (!lines.empty()) {
    auto value = cut(lines, "\n");
    const auto key = cut(value, "=");
    options.emplace(key, value);
  }
  const lemonade::fuzz::Checker checker(lemonade_plugin_v1, options);
  if (!checker.ok() || rest.empty()) return 0;
  const auto answer = rest.substr(1);
  const auto whole = checker.check(answer, {});
  const auto pieces = checker.check(answer, rest.substr(0, 1));
  require(whole.what == pieces.what, "how the answer was split does not matter");
  return 0;
}
