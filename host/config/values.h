// SPDX-License-Identifier: MIT
//
// The usual values of keys: each reads a member and knows its type and range. Stateless; any thread.
#pragma once

#include "config/duration.h"
#include "config/key.h"

#include <array>
#include <sstream>
#include <string>
#include <utility>

namespace lemonade::config {

/// "1 to 10".
std::string rangeText(std::uint32_t minimum, std::uint32_t maximum);
std::string rangeText(double minimum, double maximum);
std::string rangeText(Duration minimum, Duration maximum);

/// The words of a choice as an error message names them and as documentation does.
std::string wordsInQuotes(const char* const* words, std::size_t count);
std::string wordsAsCode(const char* const* words, std::size_t count);

template <class Target>
Value<Target> integer(std::uint32_t Target::*member, std::uint32_t minimum, std::uint32_t maximum) {
  return valueOf<Target>("integer", rangeText(minimum, maximum), Form::kNumber, member,
                         [=](const Item& item, Target& target) {
                           if (const auto value = integerOf(item, minimum, maximum)) target.*member = *value;
                         });
}

template <class Target>
Value<Target> duration(Duration Target::*member, Duration minimum, Duration maximum) {
  return valueOf<Target>("duration", rangeText(minimum, maximum), Form::kNumber, member,
                         [=](const Item& item, Target& target) {
                           if (const auto value = durationOf(item, minimum, maximum)) target.*member = *value;
                         });
}

/// A duration whose key says that an integer stands for milliseconds, and that lemonade.toml shows as one.
template <class Target>
Value<Target> millis(Duration Target::*member, Duration minimum, Duration maximum) {
  auto value = duration(member, minimum, maximum);
  value.written = [member](const Target& target) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(target.*member).count());
  };
  return value;
}

template <class Target>
Value<Target> wholeSeconds(Duration Target::*member, Duration minimum, Duration maximum) {
  return valueOf<Target>("duration", rangeText(minimum, maximum) + ", whole seconds", Form::kNumber, member,
                         [=](const Item& item, Target& target) {
                           if (const auto value = secondsOf(item, minimum, maximum)) target.*member = *value;
                         });
}

template <class Target>
Value<Target> number(double Target::*member, double minimum, double maximum) {
  return valueOf<Target>("number", rangeText(minimum, maximum), Form::kNumber, member,
                         [=](const Item& item, Target& target) {
                           if (const auto value = numberOf(item, minimum, maximum)) target.*member = *value;
                         });
}

template <class Target>
Value<Target> boolean(bool Target::*member) {
  return valueOf<Target>("boolean", "", Form::kText, member, [=](const Item& item, Target& target) {
    if (const auto value = booleanOf(item)) target.*member = *value;
  });
}

/// The name of a zone; "" for none.
template <class Target>
Value<Target> zone(std::string Target::*member) {
  return valueOf<Target>("string", "", Form::kText, member, [=](const Item& item, Target& target) {
    if (item.text() == "") return (target.*member).clear();
    if (auto text = textOf(item, "give the name of a zone, such as \"eu-1a\", or \"\" for none"))
      target.*member = std::move(*text);
  });
}

/// One of the words of an enumeration.
template <class Target, class Choice>
Value<Target> choice(Choice Target::*member) {
  constexpr auto words = kWords<Choice>;
  return valueOf<Target>("string", wordsAsCode(words.data(), words.size()), Form::kText, member,
                         [=](const Item& item, Target& target) {
                           const auto said = item.text();
                           for (std::size_t i = 0; i < words.size(); ++i)
                             if (said == words[i]) {
                               target.*member = static_cast<Choice>(i);
                               return;
                             }
                           item.refuse("give " + wordsInQuotes(words.data(), words.size()));
                         });
}

}  // namespace lemonade::config
