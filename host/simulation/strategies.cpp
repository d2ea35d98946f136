// SPDX-License-Identifier: MIT
#include "simulation/strategies.h"

#include "simulation/contender.h"

#include <cstdlib>
#include <stdexcept>

namespace lemonade::sim {

namespace {

/// As the configuration would have them: what reads as a number is one, and so are true and false.
config::OptionTable optionTable(const std::map<std::string, std::string>& options) {
  config::OptionTable table;
  for (const auto& [key, value] : options) {
    auto& option = table.emplace_back();
    option.key = key;
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    if (value == "true" || value == "false")
      option.value = value == "true";
    else if (*end != '\0' || value.empty())
      option.value = value;
    else if (value.find('.') == std::string::npos)
      option.value = static_cast<std::int64_t>(number);
    else
      option.value = number;
  }
  return table;
}

}  // namespace

Strategies::Strategies(const std::vector<std::string>& directories) { loader_.scan(directories); }

std::shared_ptr<Strategy> Strategies::make(const std::string& id, const std::map<std::string, std::string>& options,
                                           Inside& inside) {
  if (auto contender = makeContender(id, inside)) return contender;
  config::PluginChoice choice{id, {}, optionTable(options)};
  if (id == chosen_.id) choice.options.insert(choice.options.end(), chosen_.options.begin(), chosen_.options.end());
  const auto file = loader_.read(choice, plugin::kKindOf<lemonade_strategy_t>);
  if (!file) throw std::runtime_error(file.error().message);
  std::vector<plugin::OptionProblem> problems;
  auto instance = loader_.create<lemonade_strategy_t>(file.value(), choice, problems);
  if (!instance) throw std::runtime_error("strategy " + id + ": " + problems.at(0).text);
  auto strategy = Strategy::make(std::move(*instance), 1);
  if (!strategy) throw std::runtime_error(strategy.error().message);
  return strategy.value();
}

}  // namespace lemonade::sim
