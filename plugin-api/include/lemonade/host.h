/* SPDX-License-Identifier: MIT
 *
 * The plugin ABI: what the host does for a plugin. One lemonade_host_t is made for each instance; it is handed to
 * create() and stays readable until the process ends. Just before destroy(), and after a create() that failed, it is
 * revoked: from then on every call returns LEMONADE_ERROR_RETIRED (or 0, or NULL) and does nothing, so that a forgotten
 * thread of a plugin is harmless. */
#ifndef LEMONADE_HOST_H
#define LEMONADE_HOST_H

#include "plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The level of a line of the log. */
#define LEMONADE_LOG_ERROR UINT32_C(1)   /* something does not work */
#define LEMONADE_LOG_WARNING UINT32_C(2) /* it works, but somebody should look */
#define LEMONADE_LOG_INFO UINT32_C(3)    /* what an operator wants to know of a sound system */
#define LEMONADE_LOG_DEBUG UINT32_C(4)   /* what its author wants to know; off unless configured */

/* The type of a metric. */
#define LEMONADE_METRIC_COUNTER UINT32_C(1)   /* only ever grows */
#define LEMONADE_METRIC_GAUGE UINT32_C(2)     /* goes up and down */
#define LEMONADE_METRIC_HISTOGRAM UINT32_C(3) /* of the host's own families; plugins register the other two */

/* A value that the host publishes and the plugin changes. Owned by the host, valid until the process ends. Never
 * grows. */
typedef struct lemonade_metric_cell {
  int64_t value; /* through lemonade_metric_add and lemonade_metric_set only */
} lemonade_metric_cell_t;

/* The services of the host for one instance. Owned by the host, constant, readable until the process ends. All slots
 * are there. */
typedef struct lemonade_host {
  uint32_t struct_size;
  uint32_t abi_minor; /* LEMONADE_ABI_MINOR of the host */
  void* context;      /* first argument of every function below */

  /* Writes one line to the host's log under the plugin's id. level is LEMONADE_LOG_*; lines above the configured level
   * cost one comparison. Never blocks; lines are dropped and counted when the log cannot keep up.
   * message is copied. Forbidden: in pick and event of a strategy. [any] */
  void (*log)(void* context, uint32_t level, lemonade_str_t message) LEMONADE_NOEXCEPT;

  /* Reads the monotonic clock, in nanoseconds, the same that every now_ns of the ABI shows.
   * Returns 0 once the handle is revoked. Forbidden: in pick and event of a strategy, which are told the time. [any] */
  uint64_t (*now_ns)(void* context) LEMONADE_NOEXCEPT;

  /* Runs callback(user) once on the control thread, soon.
   * Anything but LEMONADE_OK: it will not run. LEMONADE_ERROR_RETIRED: the handle is revoked; LEMONADE_ERROR_LIMIT:
   * 1024 of this instance are waiting.
   * user stays the plugin's and must live until the callback ran or the instance is destroyed; nothing posted runs
   * during destroy or after it. Forbidden: in pick and event of a strategy. [any] */
  lemonade_status_t (*post)(void* context, void (*callback)(void* user) LEMONADE_NOEXCEPT, void* user)
      LEMONADE_NOEXCEPT;

  /* Calls callback(user) on the control thread every interval_ns (at least one millisecond), first after one interval.
   * Writes an id for timer_cancel, which is never 0, to *timer.
   * Anything but LEMONADE_OK: there is no timer. LEMONADE_ERROR_LIMIT: this instance has 64;
   * LEMONADE_ERROR_UNSUPPORTED: this is not the control thread, as in a probe of a health checker.
   * user stays the plugin's and must live until the timer has ended; all timers of an instance end before it is
   * destroyed. [control] */
  lemonade_status_t (*timer_start)(void* context, uint64_t interval_ns, void (*callback)(void* user) LEMONADE_NOEXCEPT,
                                   void* user, uint64_t* timer) LEMONADE_NOEXCEPT;

  /* Ends a timer: its callback does not run again. An unknown id is ignored, and so is a call on another thread.
   * Allowed in its own callback. [control] */
  void (*timer_cancel)(void* context, uint64_t timer) LEMONADE_NOEXCEPT;

  /* Publishes a number of the plugin's own as lemonade_plugin_<name>{plugin="<id>"}. type is COUNTER or GAUGE; name is
   * snake_case ([a-z][a-z0-9_]*), of at most 128 bytes; a counter's ends in _total. The same name again gives the same
   * cell, also in a later generation of the plugin, so a counter goes on over a swap.
   * Writes the cell to *cell. Anything but LEMONADE_OK: there is none. LEMONADE_ERROR_INVALID: the name or type is
   * wrong, or the name is known with another type; LEMONADE_ERROR_LIMIT: the plugin has 64.
   * The cell is the host's; name and help are copied. [control] */
  lemonade_status_t (*register_metric)(void* context, uint32_t type, lemonade_str_t name, lemonade_str_t help,
                                       lemonade_metric_cell_t** cell) LEMONADE_NOEXCEPT;

  /* Gives a service that is newer than this header, or optional in the host, by its id.
   * Returns NULL where this host has none of that id.
   * The table is the host's and lives until the process ends. Forbidden: in pick and event of a strategy. [any] */
  const void* (*get_extension)(void* context, lemonade_str_t id)LEMONADE_NOEXCEPT;
} lemonade_host_t;

/* Adds to a metric cell: one atomic add, allowed also in pick and event. cell may be NULL and is then ignored. [any] */
static inline void lemonade_metric_add(lemonade_metric_cell_t* cell, int64_t amount) {
  if (cell != NULL) (void)__atomic_fetch_add(&cell->value, amount, __ATOMIC_RELAXED);
}

/* Sets a gauge: one atomic store, allowed also in pick and event. cell may be NULL and is then ignored. [any] */
static inline void lemonade_metric_set(lemonade_metric_cell_t* cell, int64_t value) {
  if (cell != NULL) __atomic_store_n(&cell->value, value, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
