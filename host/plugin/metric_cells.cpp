// SPDX-License-Identifier: MIT
#include "plugin/metric_cells.h"

#include <algorithm>

namespace lemonade::plugin {

namespace {

constexpr std::ptrdiff_t kMostPerPlugin = 64;

bool validName(std::string_view name) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && name.size() <= 128 && lower(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '_'; });
}

}  // namespace

lemonade_status_t MetricCells::find(std::string_view plugin, std::uint32_t type, std::string_view name,
                                    std::string_view help, lemonade_metric_cell_t** cell) {
  const bool counter = type == LEMONADE_METRIC_COUNTER;
  if (!validName(name) || (!counter && type != LEMONADE_METRIC_GAUGE) || (counter && !name.ends_with("_total")))
    return LEMONADE_ERROR_INVALID;
  const std::lock_guard lock(mutex_);
  for (auto& metric : metrics_) {
    if (metric.name != name || metric.plugin != plugin) continue;
    if (metric.type != type) return LEMONADE_ERROR_INVALID;
    *cell = &metric.cell;
    return LEMONADE_OK;
  }
  const auto own = std::count_if(metrics_.begin(), metrics_.end(), [&](const Metric& m) { return m.plugin == plugin; });
  if (own >= kMostPerPlugin) return LEMONADE_ERROR_LIMIT;
  auto& metric = metrics_.emplace_back(Metric{std::string(plugin), std::string(name), std::string(help), type, {}});
  if (const auto known = inherited_.find({metric.plugin, metric.name}); counter && known != inherited_.end())
    metric.inherited = known->second;
  *cell = &metric.cell;
  return LEMONADE_OK;
}

void MetricCells::inherit(const std::string& plugin, const std::string& name, std::int64_t value) {
  const std::lock_guard lock(mutex_);
  inherited_[{plugin, name}] = value;
  for (auto& metric : metrics_)
    if (metric.type == LEMONADE_METRIC_COUNTER && metric.name == name && metric.plugin == plugin)
      metric.inherited = value;
}

void MetricCells::forEach(const std::function<void(const Metric&)>& visit) const {
  const std::lock_guard lock(mutex_);
  for (const auto& metric : metrics_) visit(metric);
}

}  // namespace lemonade::plugin
