// SPDX-License-Identifier: MIT
//
// One value that was said, by the file or by a variable, and the functions that take it where it is of the right kind.
// A reader that refuses a value reports it and leaves its target as it was. Control plane; any thread.
#pragma once

#include "config/config.h"
#include "config/finding.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

// Of toml++, which costs seconds to include: only the files that walk over its tree do. Version 3, as in its own
// forward declarations.
namespace toml {
inline namespace v3 {
class node;
}
}  // namespace toml

namespace lemonade::config {

/// A value and where it was said. Borrows node and findings.
struct Item {
  std::string path;  ///< of the key: "proxy.backlog"
  const toml::node& node;
  Source source;
  Findings& findings;

  /// The value where it is of exactly this kind; integers are no numbers here.
  std::optional<bool> boolean() const;
  std::optional<std::int64_t> integer() const;
  std::optional<double> number() const;
  std::optional<std::string> text() const;

  bool isTable() const;
  bool isEmptyList() const;
  /// Calls visit for each element of a list, or for the value itself where it is no list; all have the same path.
  void eachElement(const std::function<void(const Item&)>& visit) const;
  /// Calls visit for each entry of a table with its name; its path is this one and the name.
  void eachEntry(const std::function<void(const std::string& name, const Item&)>& visit) const;

  /// Reports that the value is not what the key takes; mend begins with a verb: "give ...".
  void refuse(const std::string& mend) const;
};

/// The value where it is of the kind and in the range; otherwise nothing, and it has been reported. Ranges are
/// inclusive.
std::optional<std::uint32_t> integerOf(const Item& item, std::uint32_t minimum, std::uint32_t maximum);
std::optional<Duration> durationOf(const Item& item, Duration minimum, Duration maximum);
/// As durationOf(), but of whole seconds.
std::optional<Duration> secondsOf(const Item& item, Duration minimum, Duration maximum);
/// Integers are numbers too.
std::optional<double> numberOf(const Item& item, double minimum, double maximum);
std::optional<bool> booleanOf(const Item& item);
/// Text that is not empty and holds no control character.
std::optional<std::string> textOf(const Item& item, const std::string& mend);
/// The options of a plugin: a table of booleans, numbers and texts.
OptionTable optionsOf(const Item& item);

}  // namespace lemonade::config
