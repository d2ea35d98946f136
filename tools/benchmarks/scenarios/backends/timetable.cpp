// SPDX-License-Identifier: MIT
//
// Reading the timetable.
#include "scenarios/backends/timetable.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace lemonade::bench {

Entry readEntry(const std::string& text, std::size_t backends) {
  std::istringstream stream(text);
  Entry entry;
  std::string action;
  if (!(stream >> entry.at >> entry.backend >> action))
    throw std::invalid_argument("'" + text + "' is not SECONDS BACKEND ACTION");
  if (entry.backend >= backends)
    throw std::invalid_argument("'" + text + "': the last backend is " + std::to_string(backends - 1));
  if (action == "slow") {
    entry.action = Action::kSlow;
    if (!(stream >> entry.factor) || entry.factor <= 0)
      throw std::invalid_argument("'" + text + "': slow needs a factor above 0");
  } else if (action == "hang") {
    entry.action = Action::kHang;
  } else if (action == "reset") {
    entry.action = Action::kReset;
  } else if (action == "down") {
    entry.action = Action::kDown;
  } else if (action == "up") {
    entry.action = Action::kUp;
  } else {
    throw std::invalid_argument("'" + text + "': an action is slow, hang, reset, down or up");
  }
  return entry;
}

std::vector<Entry> readTimetable(const std::vector<std::string>& texts, std::size_t backends) {
  std::vector<Entry> entries;
  for (const auto& text : texts) entries.push_back(readEntry(text, backends));
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.at < b.at; });
  return entries;
}

}  // namespace lemonade::bench
