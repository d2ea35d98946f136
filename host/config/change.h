// SPDX-License-Identifier: MIT
//
// How the value of a key shows itself, and how it tells that it differs from another: what a reload logs, and whether
// there is anything to reload, follows from the member that a key reads and from nothing else. Stateless; any thread.
#pragma once

#include "config/config.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::config {

/// Values as the log shows them: unequal values look unequal. A new type of value needs one of its own.
std::string show(bool value);
std::string show(std::uint32_t value);
std::string show(double value);
std::string show(Duration value);
std::string show(const std::string& value);
std::string show(const std::vector<std::string>& values);
std::string show(const log::Levels& levels);
std::string show(log::Format format);
std::string show(Supervisor supervisor);
std::string show(Relay relay);
std::string show(Initial initial);
std::string show(const char*) = delete;  // which would count as a bool

/// Says how the values of a key in two wholes differ: lines that begin with name, or none where they are equal.
template <class Whole>
using Changes =
    std::function<std::vector<std::string>(const std::string& name, const Whole& before, const Whole& after)>;

/// The changes of a member, or of what a function makes of a whole: "proxy.retries 2 -> 3".
template <class Whole, class Projection>
Changes<Whole> changesOf(Projection projection) {
  return [projection](const std::string& name, const Whole& before, const Whole& after) -> std::vector<std::string> {
    const auto& old = std::invoke(projection, before);
    const auto& now = std::invoke(projection, after);
    if (old == now) return {};
    return {name + " " + show(old) + " -> " + show(now)};
  };
}

/// The same changes with a remark at the end of each line.
template <class Whole>
Changes<Whole> remarked(Changes<Whole> changes, std::string remark) {
  return [changes = std::move(changes), remark = std::move(remark)](const auto& name, const auto& before,
                                                                    const auto& after) {
    auto lines = changes(name, before, after);
    for (auto& line : lines) line += remark;
    return lines;
  };
}

/// True where both choose the same plugin with the same options, in whatever order and wherever they were said.
bool sameChoice(const PluginChoice& a, const PluginChoice& b);

/// The changes of a plugin's options, without their values, which may be secrets. None where the plugin is another one.
std::vector<std::string> changesOfOptions(const std::string& name, const PluginChoice& before,
                                          const PluginChoice& after);

}  // namespace lemonade::config
