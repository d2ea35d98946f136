// SPDX-License-Identifier: MIT
#include "config/duration.h"

#include <charconv>
#include <utility>

namespace lemonade::config {

std::optional<Duration> parseDuration(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  double amount = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, amount, std::chars_format::fixed);
  if (failed != std::errc{}) return std::nullopt;
  constexpr std::pair<std::string_view, double> kUnits[] = {{"us", 1e3}, {"ms", 1e6}, {"", 1e6},
                                                            {"s", 1e9},  {"m", 60e9}, {"h", 3600e9}};
  constexpr double kLongest = 3.15e18;
  for (const auto& [unit, ns] : kUnits)
    if (std::string_view(rest, static_cast<std::size_t>(end - rest)) == unit)
      return amount * ns > kLongest ? std::nullopt : std::optional(Duration(static_cast<std::int64_t>(amount * ns)));
  return std::nullopt;
}

}  // namespace lemonade::config
