// SPDX-License-Identifier: MIT
//
// The headers that are frozen as minor version FROZEN_MINOR, in the namespace `frozen`, so that the current ones can be
// included after this; first undone: their include guards, and what differs between minor versions by right.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <cstdint>

// A function of C linkage is the same in every namespace.
#define lemonade_metric_add frozen_metric_add
#define lemonade_metric_set frozen_metric_set
#define lemonade_str_equal frozen_str_equal
#define lemonade_load_u32 frozen_load_u32
#define lemonade_load_u64 frozen_load_u64
#define lemonade_load_f64 frozen_load_f64
#define lemonade_load_f32 frozen_load_f32
#define lemonade_view_backend frozen_view_backend
#define lemonade_backend_label frozen_backend_label
#define lemonade_backend_is_near frozen_backend_is_near
#define lemonade_mean_wait_ns frozen_mean_wait_ns
#define lemonade_may_pick frozen_may_pick
#define lemonade_snapshot_family frozen_snapshot_family
#define lemonade_family_series frozen_family_series
#define lemonade_batch_record frozen_batch_record
#define lemonade_end_text frozen_end_text
#define lemonade_record_is_error frozen_record_is_error

namespace frozen {
#if FROZEN_MINOR == 0
#include "1.0/include/lemonade/health_checker.h"
#include "1.0/include/lemonade/metrics_sink.h"
#include "1.0/include/lemonade/strategy.h"
#else
#include "1.1/include/lemonade/health_checker.h"
#include "1.1/include/lemonade/metrics_sink.h"
#include "1.1/include/lemonade/strategy.h"
#endif
constexpr std::uint64_t kLayoutHash = LEMONADE_LAYOUT_HASH;
}  // namespace frozen

#undef lemonade_metric_add
#undef lemonade_metric_set
#undef lemonade_str_equal
#undef lemonade_load_u32
#undef lemonade_load_u64
#undef lemonade_load_f64
#undef lemonade_load_f32
#undef lemonade_view_backend
#undef lemonade_backend_label
#undef lemonade_backend_is_near
#undef lemonade_mean_wait_ns
#undef lemonade_may_pick
#undef lemonade_snapshot_family
#undef lemonade_family_series
#undef lemonade_batch_record
#undef lemonade_end_text
#undef lemonade_record_is_error

#undef LEMONADE_PLUGIN_H
#undef LEMONADE_HOST_H
#undef LEMONADE_STRATEGY_H
#undef LEMONADE_HEALTH_CHECKER_H
#undef LEMONADE_METRICS_SINK_H
#undef LEMONADE_STR
#undef LEMONADE_ABI_MINOR
