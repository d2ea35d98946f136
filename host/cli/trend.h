// SPDX-License-Identifier: MIT
//
// How totals of the status grow from one look to the next: what a table that is looked at shows as rates, and as a line
// of the last minutes. One thread.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace lemonade::cli {

class Trends {
 public:
  static constexpr std::size_t kKept = 240;

  /// A total at a time in seconds; the growth a second since the look before is kept. A total that went back belongs to
  /// something that is new.
  void add(const std::string& of, double total, double seconds);
  /// Of the last looks, the eldest first.
  std::vector<double> rates(const std::string& of) const;

 private:
  struct Trend {
    double total = 0;
    double seconds = 0;
    std::deque<double> rates;
  };
  std::map<std::string, Trend> all_;
};

}  // namespace lemonade::cli
