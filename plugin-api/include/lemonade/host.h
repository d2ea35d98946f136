/* SPDX-License-Identifier: MIT
 *
 * The plugin ABI: what the host does for a plugin. One lemonade_host_t is made for each instance and generation; it is
 * handed to create() and stays readable until the process ends. When the generation is replaced the handle is revoked:
 * from then on every call returns LEMONADE_ERROR_RETIRED (or 0) and does nothing, so that a forgotten thread of a plugin
 * is harmless. */
#ifndef LEMONADE_HOST_H
#define LEMONADE_HOST_H

#include "plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LEMONADE_LOG_ERROR UINT32_C(1)
#define LEMONADE_LOG_WARNING UINT32_C(2)
#define LEMONADE_LOG_INFO UINT32_C(3)
#define LEMONADE_LOG_DEBUG UINT32_C(4)

#define LEMONADE_METRIC_COUNTER UINT32_C(1)
#define LEMONADE_METRIC_GAUGE UINT32_C(2)
#define LEMONADE_METRIC_HISTOGRAM UINT32_C(3) /* of the host's own families; plugins register the other two */

/* A value that the host publishes and the plugin changes with lemonade_metric_add and lemonade_metric_set. Owned by the
 * host, valid until the process ends. */
typedef struct lemonade_metric_cell {
  int64_t value;
} lemonade_metric_cell_t;

typedef struct lemonade_host {
  uint32_t struct_size;
  uint32_t abi_minor; /* of the host */
  void* context;      /* first argument of every function below */

  /* Writes one line to the host's log under the plugin's id. level is LEMONADE_LOG_*; lines above the configured level
   * cost one comparison. Never blocks; lines are dropped and counted when the log cannot keep up. [any] */
  void (*log)(void* context, uint32_t level, lemonade_str_t message) LEMONADE_NOEXCEPT;

  /* The monotonic clock, in nanoseconds, the same that every now_ns of the ABI shows. [any] */
  uint64_t (*now_ns)(void* context) LEMONADE_NOEXCEPT;

  /* Runs callback(user) once on the control thread, soon.
   * LEMONADE_ERROR_RETIRED: it will not run; LEMONADE_ERROR_LIMIT: too many are waiting. user stays the plugin's and
   * must live until the callback ran or the instance is destroyed; nothing posted runs after destroy. [any] */
  lemonade_status_t (*post)(void* context, void (*callback)(void* user) LEMONADE_NOEXCEPT, void* user)
      LEMONADE_NOEXCEPT;

  /* Calls callback(user) on the control thread every interval_ns (at least one millisecond), first after one interval.
   * Writes an id for timer_cancel to *timer. LEMONADE_ERROR_LIMIT: more than 64 timers for this instance. All timers of
   * an instance end before it is destroyed. [control] */
  lemonade_status_t (*timer_start)(void* context, uint64_t interval_ns, void (*callback)(void* user) LEMONADE_NOEXCEPT,
                                   void* user, uint64_t* timer) LEMONADE_NOEXCEPT;

  /* Ends a timer: its callback does not run again. An unknown id is ignored. [control] */
  void (*timer_cancel)(void* context, uint64_t timer) LEMONADE_NOEXCEPT;

  /* Publishes a number of the plugin's own as lemonade_plugin_<name>{plugin="<id>"}. type is COUNTER or GAUGE; name is
   * snake_case ([a-z][a-z0-9_]*), a counter's ends in _total. The same name again gives the same cell, also in a later
   * generation of the plugin, so a counter goes on over a swap.
   * Writes the cell to *cell. LEMONADE_ERROR_INVALID: the name or type is wrong; LEMONADE_ERROR_LIMIT: more than 64 for
   * this plugin. [control] */
  lemonade_status_t (*register_metric)(void* context, uint32_t type, lemonade_str_t name, lemonade_str_t help,
                                       lemonade_metric_cell_t** cell) LEMONADE_NOEXCEPT;

  /* A service newer than this header or optional in the host, by id; NULL where this host has none of that id. The
   * table lives until the process ends. [any] */
  const void* (*get_extension)(void* context, lemonade_str_t id) LEMONADE_NOEXCEPT;
} lemonade_host_t;

/* Adds to a metric cell: one atomic add. cell may be NULL and is then ignored. [any] */
static inline void lemonade_metric_add(lemonade_metric_cell_t* cell, int64_t amount) {
  if (cell != NULL) (void)__atomic_fetch_add(&cell->value, amount, __ATOMIC_RELAXED);
}

/* Sets a gauge: one atomic store. cell may be NULL and is then ignored. [any] */
static inline void lemonade_metric_set(lemonade_metric_cell_t* cell, int64_t value) {
  if (cell != NULL) __atomic_store_n(&cell->value, value, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
