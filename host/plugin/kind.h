// SPDX-License-Identifier: MIT
//
// The kinds of plugins, one row each: which bit and interface a kind has, what people and the configuration call it,
// and what its table of functions must hold. Whatever treats kinds alike loops over these rows; a new kind is a new row
// here and a name in AllKinds. Constants and pure functions; any thread.
#pragma once

#include <lemonade/health_checker.h>
#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

#include <cstdint>
#include <string>
#include <type_traits>

namespace lemonade::plugin {

/// The row of one kind. The functions take a pointer to a table of this kind.
struct Kind {
  std::uint32_t bit;         ///< LEMONADE_KIND_*
  const char* interface_id;  ///< "lemonade.strategy/1"
  const char* name;          ///< in status and in tools: "metrics_sink"
  const char* words;         ///< in messages: "metrics sink"
  const char* setting;       ///< in messages about the configuration, before the id of a plugin: "health.checker"
  std::uint32_t first_size;  ///< of the table in the ABI that introduced its kind, in bytes; later ones only append
  /// The first function that the table lacks, such as "release, which prepare needs"; "" where it lacks none.
  std::string (*missing)(const void* table);
  /// The table's create, which makes an instance; the table lacks no function.
  lemonade_status_t (*create)(const void* table, const lemonade_host_t* host, const lemonade_options_t* options,
                              void** self, lemonade_error_t* error);
};

// The first function that a table lacks of those that its kind demands besides create and destroy; "" for none.
inline std::string missingFunction(const lemonade_strategy_t& table) {
  if (table.pick == nullptr) return "pick";
  if (table.prepare != nullptr && table.release == nullptr) return "release, which prepare needs";
  if (table.lane_create != nullptr && table.lane_destroy == nullptr) return "lane_destroy, which lane_create needs";
  if (table.state_format != nullptr && table.export_state == nullptr) return "export_state, which state_format needs";
  return table.events != 0 && table.event == nullptr ? "event, which the mask of events needs" : "";
}

inline std::string missingFunction(const lemonade_health_checker_t& table) {
  if (table.probe_begin == nullptr) return "probe_begin";
  if (table.probe_event == nullptr) return "probe_event";
  return table.probe_end == nullptr ? "probe_end" : "";
}

inline std::string missingFunction(const lemonade_metrics_sink_t& table) {
  const bool takes_records =
      LEMONADE_HAS(&table, lemonade_metrics_sink_t, session_records) && table.session_records != nullptr;
  if (table.flush == nullptr && table.render == nullptr && !takes_records) return "flush, render or session_records";
  return table.render != nullptr && table.content_type == nullptr ? "content_type, which render needs" : "";
}

template <class Table>
std::string missingIn(const void* table) {
  const auto& typed = *static_cast<const Table*>(table);
  if (typed.create == nullptr) return "create";
  return typed.destroy == nullptr ? "destroy" : missingFunction(typed);
}

template <class Table>
lemonade_status_t createBy(const void* table, const lemonade_host_t* host, const lemonade_options_t* options,
                           void** self, lemonade_error_t* error) {
  return static_cast<const Table*>(table)->create(host, options, self, error);
}

/// The row of the kind that has this C table.
template <class Table>
constexpr Kind kKindOf{};

template <>
inline constexpr Kind kKindOf<lemonade_strategy_t>{
    .bit = LEMONADE_KIND_STRATEGY,
    .interface_id = LEMONADE_STRATEGY_INTERFACE,
    .name = "strategy",
    .words = "strategy",
    .setting = "strategy",
    .first_size = LEMONADE_SIZE_TO(lemonade_strategy_t, import_state),
    .missing = missingIn<lemonade_strategy_t>,
    .create = createBy<lemonade_strategy_t>,
};

template <>
inline constexpr Kind kKindOf<lemonade_health_checker_t>{
    .bit = LEMONADE_KIND_HEALTH_CHECKER,
    .interface_id = LEMONADE_HEALTH_CHECKER_INTERFACE,
    .name = "health_checker",
    .words = "health checker",
    .setting = "health.checker",
    .first_size = LEMONADE_SIZE_TO(lemonade_health_checker_t, probe_end),
    .missing = missingIn<lemonade_health_checker_t>,
    .create = createBy<lemonade_health_checker_t>,
};

template <>
inline constexpr Kind kKindOf<lemonade_metrics_sink_t>{
    .bit = LEMONADE_KIND_METRICS_SINK,
    .interface_id = LEMONADE_METRICS_SINK_INTERFACE,
    .name = "metrics_sink",
    .words = "metrics sink",
    .setting = "sink",
    .first_size = LEMONADE_SIZE_TO(lemonade_metrics_sink_t, health_event),
    .missing = missingIn<lemonade_metrics_sink_t>,
    .create = createBy<lemonade_metrics_sink_t>,
};

template <class... Tables>
struct KindList {};
/// The tables of every kind that this host knows.
using AllKinds = KindList<lemonade_strategy_t, lemonade_health_checker_t, lemonade_metrics_sink_t>;

/// Calls with(std::type_identity<Table>) for each kind in a mask of LEMONADE_KIND_*, in the order of AllKinds.
template <class With>
void forEachKind(std::uint32_t kinds, With&& with) {
  [&]<class... Tables>(KindList<Tables...>) {
    (((kinds & kKindOf<Tables>.bit) != 0 ? with(std::type_identity<Tables>{}) : void()), ...);
  }(AllKinds{});
}

/// The bits of all kinds.
inline constexpr std::uint32_t kKnownKinds = []<class... Tables>(KindList<Tables...>) {
  return (kKindOf<Tables>.bit | ...);
}(AllKinds{});

/// What people call the kinds in a mask, joined by ", ": "strategy, metrics sink".
std::string kindWords(std::uint32_t kinds);

}  // namespace lemonade::plugin
