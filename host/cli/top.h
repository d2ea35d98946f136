// SPDX-License-Identifier: MIT
//
// A table of pools and backends that is drawn anew every second. One thread.
#pragma once

#include "base/clock.h"
#include "cli/document.h"
#include "cli/options.h"
#include "cli/trend.h"

#include <cstddef>
#include <string>

namespace lemonade::cli {

/// By what the backends are sorted.
enum class Order { kName, kRate, kErrors, kTime, kActive };

/// The table of one moment.
class Top {
 public:
  /// Takes a status of that time, in seconds.
  void look(const Document& status, double seconds);
  /// width: columns that there are; the trend takes what is left.
  std::string text(Order order, std::size_t width, bool colours) const;

 private:
  std::string head(Order order, bool colours) const;
  std::string refusedReload(bool colours) const;
  std::string pools(std::size_t width, bool colours) const;
  std::string backends(Order order, std::size_t width, bool colours) const;

  Document status_;
  Trends trends_;
};

/// On a terminal until q is pressed; else so many tables one after the other, without an end where count is 0.
int runTop(const Options& options, Duration interval, unsigned count);

}  // namespace lemonade::cli
