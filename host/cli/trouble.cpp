// SPDX-License-Identifier: MIT
#include "cli/trouble.h"

#include "cli/forwarding.h"
#include "cli/style.h"

namespace lemonade::cli {

namespace {

constexpr double kOfLate = 3'600;  // seconds after a death in which it is told

std::string pluginOf(const Document& one) { return textIn(one, "plugin") + " " + textIn(one, "version"); }

std::string deathText(const Document& status) {
  const auto supervisor = objectIn(status, "supervisor");
  const double deaths = numberIn(supervisor, "deaths");
  if (deaths == 0 || numberIn(status, "uptime_seconds") > kOfLate) return "";
  return "started again: " + countText(deaths) + (deaths == 1 ? " process has" : " processes have") +
         " died since the supervisor began, the last one: " + textIn(supervisor, "last_death");
}

}  // namespace

std::string troubleText(const Document& status, bool colours) {
  std::string text;
  const auto add = [&](const std::string& line) {
    if (!line.empty()) text += painted(line, Colour::kBad, colours) + "\n";
  };
  for (const auto& one : listIn(status, "quarantined"))
    add("degraded: plugin " + pluginOf(one) + " is quarantined: " + textIn(one, "reason"));
  for (const auto& call : listIn(status, "slow_calls"))
    add("slow: " + textIn(call, "function") + " of plugin " + pluginOf(call) + " has run for " +
        millisText(1e3 * numberIn(call, "seconds")) + " in thread " + textIn(call, "thread"));
  for (const auto& line : forwardingTroubles(status)) add(line);
  add(deathText(status));
  return text;
}

std::string quarantineText(const Document& document, bool colours) {
  std::string text;
  for (const auto& one : listIn(document, "quarantined"))
    text +=
        "\n" + painted("plugin " + pluginOf(one) + " is quarantined: " + textIn(one, "reason"), Colour::kBad, colours) +
        "\n  since " + timeText(textIn(one, "since")) + ", generation " + textIn(one, "generation") + ", file " +
        textIn(one, "file") + "\n  Bring another version of the file, or let this one try again: lemonade release " +
        textIn(one, "plugin") + "\n";
  return text;
}

}  // namespace lemonade::cli
