// SPDX-License-Identifier: MIT
//
// One value that was said, by the file or by a variable, and the readers that check it and put it where it belongs.
// A reader that refuses a value reports it and leaves the target as it was.
#pragma once

#include "config/duration.h"
#include "config/finding.h"

#include <toml++/toml.h>

#include <functional>
#include <string>

namespace lemonade::config {

/// Borrows node and findings.
struct Item {
  std::string path;  ///< "proxy.backlog"
  const toml::node& node;
  Source source;
  Findings& findings;

  /// An element of this value, under the same path.
  Item element(const toml::node& child) const;
  /// Reports that the value is not what the key takes; mend begins with a verb: "give ...".
  void refuse(const std::string& mend) const;
};

/// Where a region of a file begins.
Source sourceOf(const std::string& file, const toml::source_region& region);

template <class Target>
using Read = std::function<void(const Item&, Target&)>;

/// A key that a table takes, and what becomes of its value.
template <class Target>
struct Key {
  std::string section;
  std::string name;
  Read<Target> read;

  std::string path() const { return section + "." + name; }
};

/// The value where it is of the kind and in the range; otherwise nothing, and it has been reported. Ranges are inclusive.
std::optional<std::uint32_t> integerOf(const Item& item, std::uint32_t minimum, std::uint32_t maximum);
std::optional<Duration> durationOf(const Item& item, Duration minimum, Duration maximum);
/// Integers are numbers too.
std::optional<double> numberOf(const Item& item, double minimum, double maximum);
std::optional<bool> booleanOf(const Item& item);
/// Text that is not empty and holds no control character.
std::optional<std::string> textOf(const Item& item, const std::string& mend);

template <class Target>
Read<Target> integer(std::uint32_t Target::*member, std::uint32_t minimum, std::uint32_t maximum) {
  return [=](const Item& item, Target& target) {
    if (const auto value = integerOf(item, minimum, maximum)) target.*member = *value;
  };
}

template <class Target>
Read<Target> duration(Duration Target::*member, Duration minimum, Duration maximum) {
  return [=](const Item& item, Target& target) {
    if (const auto value = durationOf(item, minimum, maximum)) target.*member = *value;
  };
}

template <class Target>
Read<Target> number(double Target::*member, double minimum, double maximum) {
  return [=](const Item& item, Target& target) {
    if (const auto value = numberOf(item, minimum, maximum)) target.*member = *value;
  };
}

template <class Target>
Read<Target> boolean(bool Target::*member) {
  return [=](const Item& item, Target& target) {
    if (const auto value = booleanOf(item)) target.*member = *value;
  };
}

}  // namespace lemonade::config
