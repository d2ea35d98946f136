// SPDX-License-Identifier: MIT
//
// The numbers that plugins publish through register_metric. A cell lives until the process ends and is found again by
// plugin id and name, so a counter goes on over a swap. Any thread may read; control registers.
#pragma once

#include "base/result.h"

#include <lemonade/host.h>

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace lemonade::plugin {

class MetricCells {
 public:
  struct Metric {
    std::string plugin;
    std::string name;
    std::string help;
    std::uint32_t type = LEMONADE_METRIC_COUNTER;
    lemonade_metric_cell_t cell{};

    std::int64_t inherited = 0;  ///< guarded by the mutex: what processes before this one counted

    std::int64_t value() const noexcept { return inherited + __atomic_load_n(&cell.value, __ATOMIC_RELAXED); }
  };

  /// The cell of a plugin's metric, made where there is none yet. The status is as register_metric documents it.
  lemonade_status_t find(std::string_view plugin, std::uint32_t type, std::string_view name, std::string_view help,
                         lemonade_metric_cell_t** cell);

  /// A process before this one has counted so much there; replaces what was said of the same metric before. A counter
  /// that nobody has registered yet has it when it is.
  void inherit(const std::string& plugin, const std::string& name, std::int64_t value);

  /// Visits every metric; visit must not register one.
  void forEach(const std::function<void(const Metric&)>& visit) const;

 private:
  mutable std::mutex mutex_;
  std::deque<Metric> metrics_;                                             // grows only: cells keep their address
  std::map<std::pair<std::string, std::string>, std::int64_t> inherited_;  // by plugin and name
};

}  // namespace lemonade::plugin
