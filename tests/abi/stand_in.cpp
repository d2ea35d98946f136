// SPDX-License-Identifier: MIT
//
// plugin-validate stands in for a host of ABI 1.0, which hands out structs of the size that the frozen headers have:
// one that has grown since needs a line in host/validate/host_age.h. Compiled with FROZEN_MINOR 0; nothing here runs.
#include "frozen.h"

#include <lemonade/health_checker.h>
#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

#include "validate/host_age.h"

namespace {

template <class Current, class Frozen>
constexpr bool kStandsIn = lemonade::validate::kSizeIn1_0<Current> == sizeof(Frozen);
static_assert(kStandsIn<lemonade_error_t, frozen::lemonade_error_t>);
static_assert(kStandsIn<lemonade_options_t, frozen::lemonade_options_t>);
static_assert(kStandsIn<lemonade_writer_t, frozen::lemonade_writer_t>);
static_assert(kStandsIn<lemonade_host_t, frozen::lemonade_host_t>);
static_assert(kStandsIn<lemonade_backend_t, frozen::lemonade_backend_t>);
static_assert(kStandsIn<lemonade_view_t, frozen::lemonade_view_t>);
static_assert(kStandsIn<lemonade_connection_t, frozen::lemonade_connection_t>);
static_assert(kStandsIn<lemonade_strategy_event_t, frozen::lemonade_strategy_event_t>);
static_assert(kStandsIn<lemonade_probe_target_t, frozen::lemonade_probe_target_t>);
static_assert(kStandsIn<lemonade_probe_event_t, frozen::lemonade_probe_event_t>);
static_assert(kStandsIn<lemonade_probe_verdict_t, frozen::lemonade_probe_verdict_t>);
static_assert(kStandsIn<lemonade_snapshot_t, frozen::lemonade_snapshot_t>);
static_assert(kStandsIn<lemonade_family_t, frozen::lemonade_family_t>);
static_assert(kStandsIn<lemonade_series_t, frozen::lemonade_series_t>);
static_assert(kStandsIn<lemonade_health_event_t, frozen::lemonade_health_event_t>);

}  // namespace
