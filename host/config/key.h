// SPDX-License-Identifier: MIT
//
// A key of the configuration and all that there is to say of it: what it takes, in which range, what it is where it is
// not set, which variable sets it, how it is read, compared and shown, and what documentation tells of it. Whatever
// goes over the configuration is a loop over keys. Immutable once made; any thread.
#pragma once

#include "config/change.h"
#include "config/item.h"

#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lemonade::config {

/// How a text that is the value of a key outside of a file, in a variable say, is taken: as it is, as a number where it
/// is one, or as a list with commas between its elements.
enum class Form { kText, kNumber, kList };

/// What people are told of a key. Texts are Markdown, but for `brief`.
struct Facts {
  std::string type;         ///< "integer", "duration or boolean"
  std::string range;        ///< "1 to 65535"; "": all of the type
  std::string fallback;     ///< the value where it is not set, in words; "": that of the default configuration
  std::string example;      ///< the value in lemonade.toml where there is no default to show; TOML
  std::string brief;        ///< a line for lemonade.toml
  std::string effect;       ///< for docs/configuration.md
  std::string variable;     ///< that sets the key; "": none
  std::string of_variable;  ///< what is special about the variable
  std::string from;         ///< "start": a reload leaves it alone; "": a reload changes it
  Form form = Form::kText;
};

/// The value of a key in a Target: the part of the configuration that the key belongs to.
template <class Target>
struct Value {
  using Lines = std::vector<std::string>;

  std::string type;
  std::string range;
  Form form = Form::kText;
  std::function<void(const Item&, Target&)> read;
  std::function<bool(const Target&, const Target&)> same;
  std::function<std::string(const Target&)> show;     ///< without secrets
  std::function<std::string(const Target&)> written;  ///< as a file says it
  /// Lines that say how two targets differ, where "name before -> after" is not the whole of it.
  std::function<Lines(const std::string& name, const Target& before, const Target& after)> special = {};
};

/// A value that is a member of Target, or what a function makes of it; its type has show(), written() and ==.
template <class Target, class Projection>
Value<Target> valueOf(std::string type, std::string range, Form form, Projection projection,
                      std::function<void(const Item&, Target&)> read) {
  return {std::move(type),
          std::move(range),
          form,
          std::move(read),
          [projection](const Target& a, const Target& b) -> bool {
            return std::invoke(projection, a) == std::invoke(projection, b);
          },
          [projection](const Target& target) { return config::show(std::invoke(projection, target)); },
          [projection](const Target& target) { return config::written(std::invoke(projection, target)); }};
}

template <class Target>
class Key {
 public:
  using Lines = typename Value<Target>::Lines;

  /// brief is for lemonade.toml, effect for docs/configuration.md.
  Key(std::string called, Value<Target> value, std::string brief, std::string effect)
      : name(std::move(called)), value_(std::move(value)) {
    facts.type = value_.type;
    facts.range = value_.range;
    facts.form = value_.form;
    facts.brief = std::move(brief);
    facts.effect = std::move(effect);
  }

  std::string section;  ///< "health"; "" where the key stands in the table of the target itself
  std::string name;
  Facts facts;

  // What else is to be said, behind the constructor.
  Key&& range(std::string text) && { return set(&Facts::range, std::move(text)); }
  Key&& fallback(std::string text) && { return set(&Facts::fallback, std::move(text)); }
  Key&& example(std::string text) && { return set(&Facts::example, std::move(text)); }
  Key&& from(std::string text) && { return set(&Facts::from, std::move(text)); }
  Key&& variable(std::string text, std::string remark = "") && {
    facts.of_variable = std::move(remark);
    return set(&Facts::variable, std::move(text));
  }

  /// "health.interval", or the name alone.
  std::string path() const { return section.empty() ? name : section + "." + name; }

  /// Puts the item's value into target, or reports why not.
  void read(const Item& item, Target& target) const { value_.read(item, target); }
  bool same(const Target& a, const Target& b) const { return value_.same(a, b); }
  /// The value as operators see it, without secrets.
  std::string show(const Target& target) const { return value_.show(target); }
  /// The value as a file says it.
  std::string written(const Target& target) const { return value_.written(target); }
  /// How two targets differ, in lines that begin with called; none where they are the same.
  Lines changes(const std::string& called, const Target& before, const Target& after) const {
    if (value_.special) return value_.special(called, before, after);
    if (same(before, after)) return {};
    const auto when = facts.from.empty() ? "" : ", from the next " + facts.from + " on";
    return {called + " " + show(before) + " -> " + show(after) + when};
  }

  /// This key as one of a larger whole: `part` gives the part of a Whole, const or not, that the key belongs to.
  template <class Whole, class Part>
  Key<Whole> within(const std::string& in_section, Part part) const {
    const auto& value = value_;
    Value<Whole> lifted{value.type,
                        value.range,
                        value.form,
                        [read = value.read, part](const Item& item, Whole& whole) { read(item, part(whole)); },
                        [same = value.same, part](const Whole& a, const Whole& b) { return same(part(a), part(b)); },
                        [show = value.show, part](const Whole& whole) { return show(part(whole)); },
                        [written = value.written, part](const Whole& whole) { return written(part(whole)); }};
    if (value.special)
      lifted.special = [special = value.special, part](const std::string& called, const Whole& before,
                                                       const Whole& after) {
        return special(called, part(before), part(after));
      };
    Key<Whole> key(name, std::move(lifted), "", "");
    key.section = in_section;
    key.facts = facts;
    return key;
  }

 private:
  Key&& set(std::string Facts::*fact, std::string text) {
    facts.*fact = std::move(text);
    return std::move(*this);
  }

  Value<Target> value_;
};

}  // namespace lemonade::config
