// SPDX-License-Identifier: MIT
//
// How large the structs that a plugin brings along must be at least: as large as in ABI 1.0, whatever has been appended
// to them since. What is newer is read after LEMONADE_HAS only. tests/abi compares these sizes with the frozen headers.
#pragma once

#include <lemonade/health_checker.h>
#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

#include <cstdint>

namespace lemonade::plugin {

template <class Struct>
struct Oldest;

template <>
struct Oldest<lemonade_plugin_t> {
  static constexpr std::uint32_t kSize = LEMONADE_SIZE_TO(lemonade_plugin_t, get_interface);
};
template <>
struct Oldest<lemonade_option_t> {
  static constexpr std::uint32_t kSize = LEMONADE_SIZE_TO(lemonade_option_t, doc);
};
template <>
struct Oldest<lemonade_strategy_t> {
  static constexpr std::uint32_t kSize = LEMONADE_SIZE_TO(lemonade_strategy_t, import_state);
};
template <>
struct Oldest<lemonade_health_checker_t> {
  static constexpr std::uint32_t kSize = LEMONADE_SIZE_TO(lemonade_health_checker_t, probe_end);
};
template <>
struct Oldest<lemonade_metrics_sink_t> {
  static constexpr std::uint32_t kSize = LEMONADE_SIZE_TO(lemonade_metrics_sink_t, health_event);
};

}  // namespace lemonade::plugin
