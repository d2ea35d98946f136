// SPDX-License-Identifier: MIT
#include "config/duration.h"

#include <array>
#include <charconv>
#include <utility>

namespace lemonade::config {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::pair<std::string_view, milliseconds>, 4> kUnits = {{
    {"h", std::chrono::hours(1)},
    {"m", std::chrono::minutes(1)},
    {"s", std::chrono::seconds(1)},
    {"ms", milliseconds(1)},
}};

}  // namespace

std::optional<Duration> parseDuration(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count < 0) return std::nullopt;
  const auto unit_text = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, unit] : kUnits) {
    if (name == unit_text) {
      return count <= kLongestDuration / unit ? std::optional<Duration>(count * unit) : std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<Duration> durationOfMillis(std::int64_t millis) {
  if (millis < 0 || millis > kLongestDuration / milliseconds(1)) return std::nullopt;
  return milliseconds(millis);
}

std::string durationText(Duration duration) {
  if (duration == Duration::zero()) return "0s";
  for (const auto& [name, unit] : kUnits) {
    if (duration % unit == Duration::zero()) return std::to_string(duration / unit) + std::string(name);
  }
  return std::to_string(std::chrono::duration_cast<milliseconds>(duration).count()) + "ms";
}

}  // namespace lemonade::config
