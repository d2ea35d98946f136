// SPDX-License-Identifier: MIT
#include "line.h"

#include <charconv>

namespace lemonade::statsd {

namespace {

bool isAlphanumeric(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// The text with "_" for every character that is neither alphanumeric nor in `allowed`; bytes of UTF-8 count as allowed
/// where `foreign`.
std::string mended(std::string_view text, std::string_view allowed, bool foreign) {
  std::string made(text);
  for (char& c : made) {
    const bool kept = isAlphanumeric(c) || allowed.find(c) != std::string_view::npos ||
                      (foreign && static_cast<unsigned char>(c) >= 0x80);
    if (!kept) c = '_';
  }
  return made;
}

/// A part of a name: dots would begin another part. "_" where it is empty, so that the parts behind keep their places.
std::string part(std::string_view value) { return value.empty() ? "_" : mended(value, "-", false); }

}  // namespace

Tags tagsOf(std::string_view text) noexcept {
  if (text == "dogstatsd") return Tags::dogstatsd;
  return text == "influx" ? Tags::influx : Tags::none;
}

std::string digits(double value) {
  char text[400];
  return {text, std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed).ptr};
}

std::string mendedName(std::string_view name) { return mended(name, "._-", false); }

SeriesName::SeriesName(Tags tags, std::string_view prefix, std::string_view name, const lemonade_series_t& series)
    : name_(std::string(prefix) + mendedName(name)) {
  for (const auto& label : sdk::labels(series)) {
    const auto key = sdk::view(label.name);
    const auto value = sdk::view(label.value);
    if (tags == Tags::none) {
      behind_.append(".").append(part(value));
    } else if (!value.empty() && tags == Tags::dogstatsd) {
      end_.append(end_.empty() ? "|#" : ",").append(key).append(":").append(mended(value, "._-:/@[]+() ", true));
    } else if (!value.empty()) {
      behind_.append(",").append(key).append("=").append(mended(value, "._-/@[]+()", true));
    }
  }
}

std::string SeriesName::line(std::string_view suffix, double value, std::string_view type, double rate) const {
  std::string line = name_;
  line.append(suffix).append(behind_).append(":").append(digits(value)).append("|").append(type);
  if (rate != 1) line.append("|@").append(digits(rate));
  return line.append(end_);
}

}  // namespace lemonade::statsd
