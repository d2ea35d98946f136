/* SPDX-License-Identifier: MIT
 *
 * The plugin ABI: a metrics sink hears about the balancer.
 *
 * There is one snapshot and two doors: flush() pushes it somewhere every [metrics] interval, render() writes it for
 * someone who asked the admin listener. Sinks never run on the data path. A sink that is slow loses snapshots and
 * health events, oldest first, and the loss is counted. */
#ifndef LEMONADE_METRICS_SINK_H
#define LEMONADE_METRICS_SINK_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The id that get_interface knows the table below by. */
#define LEMONADE_METRICS_SINK_INTERFACE "lemonade.metrics_sink/1"

/* One bucket of a histogram, owned as its snapshot: how many samples were at most `upper`. Never grows. */
typedef struct lemonade_bucket {
  double upper;        /* inclusive, ascending; the last is +infinity */
  uint64_t cumulative; /* samples in this bucket and all below */
} lemonade_bucket_t;

/* One of the buckets that the host counts in, which are narrower than those that are shown, owned as its snapshot: how
 * many samples were above `lower` and at most `upper`. Never grows. */
typedef struct lemonade_fine_bucket {
  double lower;   /* exclusive; 0 of the first one, which has what is 0, too */
  double upper;   /* inclusive; +infinity of the last one */
  uint64_t count; /* not 0 */
} lemonade_fine_bucket_t;

/* One time series of a family, owned as its snapshot. Grows by the family's series_stride. */
typedef struct lemonade_series {
  const lemonade_label_t* labels;   /* NULL where label_count is 0 */
  const lemonade_bucket_t* buckets; /* of a histogram, else NULL */
  uint32_t label_count;             /* labels behind `labels` */
  uint32_t bucket_count;            /* buckets behind `buckets` */
  uint64_t id;                      /* stable for this name and these labels while the process lives */
  double value;                     /* of counters and gauges; of a histogram the sum of all samples */
  uint64_t count;                   /* of a histogram: the samples, else 0 */

  /* Since 1.1: ask lemonade_family_has_fine_buckets first. */
  const lemonade_fine_bucket_t* fine_buckets; /* of a histogram, those with samples, ascending; else NULL */
  uint32_t fine_bucket_count;                 /* buckets behind `fine_buckets` */
  uint32_t reserved;
} lemonade_series_t;

/* All series of one name, owned as their snapshot. Grows by the snapshot's family_stride. */
typedef struct lemonade_family {
  lemonade_str_t name;   /* "lemonade_sessions_total": Prometheus' conventions, base units, seconds and bytes */
  lemonade_str_t help;   /* one sentence */
  uint32_t type;         /* LEMONADE_METRIC_* */
  uint32_t series_count; /* series behind `series` */
  const lemonade_series_t* series; /* NULL where series_count is 0 */
  uint32_t series_stride;          /* sizeof(lemonade_series_t) of the host; use lemonade_family_series to index */
  uint32_t reserved;
} lemonade_family_t;

/* Everything the balancer counts, at one moment. Owned by the host, constant; it and all that it points to are valid
 * during the call. */
typedef struct lemonade_snapshot {
  uint32_t struct_size;
  uint32_t family_count;             /* families behind `families` */
  const lemonade_family_t* families; /* NULL where family_count is 0 */
  uint32_t family_stride;            /* sizeof(lemonade_family_t) of the host; use lemonade_snapshot_family to index */
  uint32_t reserved;
  uint64_t unix_ns;   /* wall clock, since 1970 */
  uint64_t uptime_ns; /* of the process */
} lemonade_snapshot_t;

/* The observed health of a backend. */
#define LEMONADE_HEALTH_DOWN UINT32_C(0)    /* its checks fail */
#define LEMONADE_HEALTH_UP UINT32_C(1)      /* its checks pass */
#define LEMONADE_HEALTH_EJECTED UINT32_C(2) /* its checks pass, but its sessions failed: it is out for a while */

/* A backend changed its observed health. Owned by the host; it and its texts are valid during the call. */
typedef struct lemonade_health_event {
  uint32_t struct_size;
  uint32_t state;         /* LEMONADE_HEALTH_*: what it is from now on */
  uint64_t unix_ns;       /* wall clock, since 1970 */
  uint64_t identity;      /* hash of id and address of the backend */
  lemonade_str_t id;      /* as configured, as text */
  lemonade_str_t name;    /* for people */
  lemonade_str_t address; /* resolved: "10.0.1.10:8080", "[2001:db8::1]:80" */
  lemonade_str_t reason;  /* a few words; may be empty */
} lemonade_health_event_t;

/* The functions of a metrics sink. The plugin's, constant, there as long as its image. Slots marked optional may be
 * NULL; one of flush and render must be there. */
typedef struct lemonade_metrics_sink {
  uint32_t struct_size; /* sizeof(lemonade_metrics_sink_t) at build */
  uint32_t reserved;

  /* Makes an instance and writes it to *self, which may be NULL where there is nothing to keep.
   * Anything but LEMONADE_OK: no instance was made, *error says why, destroy is not called.
   * The instance is the plugin's until destroy; host outlives it; options are valid during the call. Forbidden:
   * blocking, and claiming what only one process can have (new plugins are rehearsed in another one). [control] */
  lemonade_status_t (*create)(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                              lemonade_error_t* error) LEMONADE_NOEXCEPT;

  /* Ends an instance. No call of it is under way, and its host table is revoked. Forbidden: blocking. [control] */
  void (*destroy)(void* self) LEMONADE_NOEXCEPT;

  /* Optional. Pushes a snapshot. deadline_ns is on the host's monotonic clock: be done by then.
   * Anything but LEMONADE_OK is counted and logged once per interval, with *error.
   * The snapshot is valid during the call. Forbidden: going on after the deadline. [sink] */
  lemonade_status_t (*flush)(void* self, const lemonade_snapshot_t* snapshot, uint64_t deadline_ns,
                             lemonade_error_t* error) LEMONADE_NOEXCEPT;

  /* Optional, but required with render. Gives the media type that render answers this Accept header with (empty: none
   * was sent).
   * The text is the plugin's and stays as it is until destroy; accept is valid during the call. Forbidden: blocking.
   * [any] */
  lemonade_str_t (*content_type)(void* self, lemonade_str_t accept) LEMONADE_NOEXCEPT;

  /* Optional. Writes a snapshot for a reader of /metrics (the first sink with this slot) or /metrics/<id>.
   * Anything but LEMONADE_OK ends the answer with an error and is counted and logged as that of flush.
   * Everything it is handed is valid during the call. Runs on a thread of the admin listener, while flush or another
   * render of the same instance may run. Forbidden: blocking for long. [any] */
  lemonade_status_t (*render)(void* self, const lemonade_snapshot_t* snapshot, lemonade_str_t accept,
                              const lemonade_writer_t* writer, lemonade_error_t* error) LEMONADE_NOEXCEPT;

  /* Optional. Tells of a backend that went up or down, or was ejected. The event is valid during the call. Forbidden:
   * blocking for long. [sink] */
  void (*health_event)(void* self, const lemonade_health_event_t* event) LEMONADE_NOEXCEPT;
} lemonade_metrics_sink_t;

/* Gives the family at an index below family_count. Valid as long as the snapshot. [any] */
static inline const lemonade_family_t* lemonade_snapshot_family(const lemonade_snapshot_t* snapshot, uint32_t index) {
  return (const lemonade_family_t*)(const void*)((const char*)snapshot->families +
                                                 (uint64_t)index * snapshot->family_stride);
}

/* Gives the series at an index below series_count. Valid as long as the snapshot. [any] */
static inline const lemonade_series_t* lemonade_family_series(const lemonade_family_t* family, uint32_t index) {
  return (const lemonade_series_t*)(const void*)((const char*)family->series + (uint64_t)index * family->series_stride);
}

/* Says whether the series of a family have fine buckets: 1, or 0 where the host is older than that. [any] */
static inline int lemonade_family_has_fine_buckets(const lemonade_family_t* family) {
  return family->series_stride >= LEMONADE_SIZE_TO(lemonade_series_t, fine_bucket_count);
}

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
