// SPDX-License-Identifier: MIT
//
// How the value of a key is shown, to operators and in documentation, and how two of them are compared. Stateless; any
// thread.
#pragma once

#include "config/config.h"

#include <map>
#include <string>
#include <vector>

namespace lemonade::config {

/// Values as the log shows them: unequal values look unequal. A new type of value needs one of its own.
std::string show(bool value);
std::string show(std::uint32_t value);
std::string show(double value);
std::string show(Duration value);
std::string show(const std::string& value);
std::string show(const std::vector<std::string>& values);
std::string show(const std::map<std::string, std::string>& values);
std::string show(const log::Levels& levels);
std::string show(const Ready& ready);
template <class Choice, std::size_t = kWords<Choice>.size()>
std::string show(Choice value) {
  return wordOf(value);
}
std::string show(const char*) = delete;  // which would count as a bool

/// Values as a file says them.
std::string written(bool value);
std::string written(std::uint32_t value);
std::string written(double value);
std::string written(Duration value);
std::string written(const std::string& value);
std::string written(const std::vector<std::string>& values);
std::string written(const char*) = delete;
/// What is one word, or several, is said in quotes.
template <class Value>
std::string written(const Value& value) {
  return written(show(value));
}

/// True where both choose the same plugin with the same options, in whatever order and wherever they were said.
bool sameChoice(const PluginChoice& a, const PluginChoice& b);

/// The options without their values, which may be secrets: "choices, password".
std::string show(const OptionTable& options);

/// The changes of a plugin's options, without their values, which may be secrets. None where the plugin is another one.
std::vector<std::string> changesOfOptions(const std::string& name, const PluginChoice& before,
                                          const PluginChoice& after);

}  // namespace lemonade::config
