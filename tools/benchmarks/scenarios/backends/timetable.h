// SPDX-License-Identifier: MIT
//
// When which backend begins to behave how: the scenario's timetable, given on the command line.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lemonade::bench {

enum class Action {
  kSlow,   ///< work takes factor times as long; 1 is as at the start
  kHang,   ///< accepts, and answers nothing any more
  kReset,  ///< resets every new connection 1 ms after accepting it
  kDown,   ///< resets its connections, forgets its work and refuses
  kUp,     ///< listens and answers, whatever it did before
};

struct Entry {
  double at = 0;  ///< seconds after the start
  std::size_t backend = 0;
  Action action = Action::kUp;
  double factor = 1;  ///< of kSlow
};

/// Reads "SECONDS BACKEND ACTION [FACTOR]", as "2.5 0 slow 10" or "7 0 up"; backends count from 0. Throws
/// std::invalid_argument, which says what is wrong.
Entry readEntry(const std::string& text, std::size_t backends);

/// Reads all and sorts them by time. Throws as readEntry.
std::vector<Entry> readTimetable(const std::vector<std::string>& texts, std::size_t backends);

}  // namespace lemonade::bench
