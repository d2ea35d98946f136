/* SPDX-License-Identifier: MIT
 *
 * A library through which every struct of the ABI is reached, for abidiff to compare. */
#include <lemonade/health_checker.h>
#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

LEMONADE_EXPORT const lemonade_plugin_t* surface_plugin;
LEMONADE_EXPORT const lemonade_host_t* surface_host;
LEMONADE_EXPORT const lemonade_strategy_t* surface_strategy;
LEMONADE_EXPORT const lemonade_health_checker_t* surface_health_checker;
LEMONADE_EXPORT const lemonade_metrics_sink_t* surface_metrics_sink;
