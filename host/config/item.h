// SPDX-License-Identifier: MIT
//
// One value that was said, by the file or by a variable, and the fields that check it, put it where it belongs and tell
// how it changed. A reader that refuses a value reports it and leaves the target as it was.
#pragma once

#include "config/change.h"
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

/// What a key is for: how its value is read into Target, and how it changes in a Whole, which is what is read in the
/// end.
template <class Target, class Whole = Target>
struct Field {
  Read<Target> read;
  Changes<Whole> changes;
};

/// A field whose value is a member, or what a function makes of the target.
template <class Target, class Projection>
Field<Target> field(Projection projection, Read<Target> read) {
  return {std::move(read), changesOf<Target>(projection)};
}

/// A key that a table takes, and what becomes of its value.
template <class Target, class Whole = Target>
struct Key {
  std::string section;
  std::string name;
  Field<Target, Whole> field;

  std::string path() const { return section + "." + name; }
};

/// The value where it is of the kind and in the range; otherwise nothing, and it has been reported. Ranges are
/// inclusive.
std::optional<std::uint32_t> integerOf(const Item& item, std::uint32_t minimum, std::uint32_t maximum);
std::optional<Duration> durationOf(const Item& item, Duration minimum, Duration maximum);
/// Integers are numbers too.
std::optional<double> numberOf(const Item& item, double minimum, double maximum);
std::optional<bool> booleanOf(const Item& item);
/// Text that is not empty and holds no control character.
std::optional<std::string> textOf(const Item& item, const std::string& mend);

template <class Target>
Field<Target> integer(std::uint32_t Target::*member, std::uint32_t minimum, std::uint32_t maximum) {
  return field<Target>(member, [=](const Item& item, Target& target) {
    if (const auto value = integerOf(item, minimum, maximum)) target.*member = *value;
  });
}

template <class Target>
Field<Target> duration(Duration Target::*member, Duration minimum, Duration maximum) {
  return field<Target>(member, [=](const Item& item, Target& target) {
    if (const auto value = durationOf(item, minimum, maximum)) target.*member = *value;
  });
}

template <class Target>
Field<Target> number(double Target::*member, double minimum, double maximum) {
  return field<Target>(member, [=](const Item& item, Target& target) {
    if (const auto value = numberOf(item, minimum, maximum)) target.*member = *value;
  });
}

template <class Target>
Field<Target> boolean(bool Target::*member) {
  return field<Target>(member, [=](const Item& item, Target& target) {
    if (const auto value = booleanOf(item)) target.*member = *value;
  });
}

}  // namespace lemonade::config
