// SPDX-License-Identifier: MIT
#include "plugin/kind.h"

namespace lemonade::plugin {

std::string missingFunction(const lemonade_strategy_t& table) {
  if (table.pick == nullptr) return "pick";
  if (table.prepare != nullptr && table.release == nullptr) return "release, which prepare needs";
  if (table.lane_create != nullptr && table.lane_destroy == nullptr) return "lane_destroy, which lane_create needs";
  if (table.state_format != nullptr && table.export_state == nullptr) return "export_state, which state_format needs";
  return table.events != 0 && table.event == nullptr ? "event, which the mask of events needs" : "";
}

std::string missingFunction(const lemonade_health_checker_t& table) {
  if (table.probe_begin == nullptr) return "probe_begin";
  if (table.probe_event == nullptr) return "probe_event";
  return table.probe_end == nullptr ? "probe_end" : "";
}

std::string missingFunction(const lemonade_metrics_sink_t& table) {
  if (table.flush == nullptr && table.render == nullptr) return "flush or render";
  return table.render != nullptr && table.content_type == nullptr ? "content_type, which render needs" : "";
}

std::string kindWords(std::uint32_t kinds) {
  std::string words;
  forEachKind(kinds, [&]<class Table>(std::type_identity<Table>) {
    words += (words.empty() ? "" : ", ") + std::string(kKindOf<Table>.words);
  });
  return words;
}

}  // namespace lemonade::plugin
