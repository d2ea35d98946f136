/* SPDX-License-Identifier: MIT
 *
 * The plugin ABI: a metrics sink hears about the balancer.
 *
 * There is one snapshot and two doors: flush() pushes it somewhere every [metrics] interval, render() writes it for
 * someone who asked the admin listener. session_records() takes what is known of each session that has ended. Sinks
 * never run on the data path. A sink that is slow loses snapshots, health events and session records, oldest first, and
 * the loss is counted. */
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

/* ---- sessions that have ended, since 1.1 ----------------------------------------------------------------------- */

/* How a session ended, and who ended it. */
#define LEMONADE_END_DONE UINT32_C(0)               /* both sides have finished, or one is gone that had */
#define LEMONADE_END_CLIENT_RESET UINT32_C(1)       /* the client broke the connection, or was given up */
#define LEMONADE_END_BACKEND_RESET UINT32_C(2)      /* the backend broke the connection, or was given up */
#define LEMONADE_END_IDLE_TIMEOUT UINT32_C(3)       /* no byte moved for idle_timeout */
#define LEMONADE_END_HALF_CLOSE_TIMEOUT UINT32_C(4) /* the backend had finished, and the client had not in time */
#define LEMONADE_END_CONNECT_FAILED UINT32_C(5)     /* every connect that was tried failed */
#define LEMONADE_END_NO_BACKEND UINT32_C(6)         /* no backend was eligible */
#define LEMONADE_END_QUEUE_TIMEOUT UINT32_C(7)      /* no backend had a place in time */
#define LEMONADE_END_REJECTED UINT32_C(8)           /* the strategy refused the client */
#define LEMONADE_END_DRAIN UINT32_C(9)              /* the balancer ended it: its backend left, or the process stops */
#define LEMONADE_END_ABANDONED UINT32_C(10)         /* the client left before it had a backend */
#define LEMONADE_END_NO_MEMORY UINT32_C(11)         /* memory was out */
#define LEMONADE_END_HEADER_UNTRUSTED UINT32_C(12)  /* the peer may not send a PROXY header */
#define LEMONADE_END_HEADER_MALFORMED UINT32_C(13)  /* what it sent is no PROXY header */
#define LEMONADE_END_HEADER_TIMEOUT UINT32_C(14)    /* its PROXY header was not complete in time */
#define LEMONADE_END_HEADER_CLOSED UINT32_C(15)     /* it left before its PROXY header was complete */
/* Since 1.2; both of a session that was quiet: all was answered, and nothing was under way. */
#define LEMONADE_END_REBALANCE UINT32_C(16) /* the balancer closed it, for its client to come to another backend */
#define LEMONADE_END_MAX_AGE UINT32_C(17)   /* the same, since it was older than max_session_age */

/* Flags of a session record. UNANSWERED: the client had asked, and nothing of an answer had come when it ended; where
 * it ended as DONE, the backend closed before its first byte while the client waited. IN_ACKNOWLEDGED: the record has
 * bytes_in_acknowledged, as a session that had a backend over TCP. */
#define LEMONADE_RECORD_UNANSWERED UINT32_C(1)
#define LEMONADE_RECORD_IN_ACKNOWLEDGED UINT32_C(2)

/* What is known of one session that has ended; one that was refused before it had a backend gives a record, too. What a
 * client on a Unix socket has acknowledged is an estimate.
 * Owned as its batch. Grows by the batch's record_stride. */
typedef struct lemonade_session_record {
  lemonade_str_t listener;        /* the name of the listener that took the client */
  lemonade_str_t pool;            /* that the listener led to; empty where it was refused for its PROXY header */
  lemonade_str_t backend;         /* id of that which it had, or of the last one tried; empty where it had none */
  lemonade_str_t backend_name;    /* for people */
  lemonade_str_t backend_address; /* resolved: "10.0.1.10:8080", "[2001:db8::1]:80", "unix:/run/a.sock" */
  lemonade_str_t client;          /* what its PROXY header named, else the peer; "unix:" where that has no name */
  lemonade_str_t peer;            /* the other end of the socket: the client, or the proxy in front */
  uint64_t backend_identity;      /* hash of id and address of the backend; 0 where there is none */
  uint32_t reason;                /* LEMONADE_END_* */
  uint32_t flags;                 /* mask of LEMONADE_RECORD_* */
  uint32_t attempts;              /* connects that were tried */
  uint32_t reserved;
  uint64_t started_unix_ns;        /* wall clock, since 1970: when it was accepted */
  uint64_t duration_ns;            /* from there to its end */
  uint64_t queue_ns;               /* from when it first had to wait for a place, to its last connect or its end */
  uint64_t connect_ns;             /* of the connect that succeeded; 0 where none did */
  uint64_t first_byte_ns;          /* from then to the first byte of the backend; 0 where none came */
  uint64_t slowest_exchange_ns;    /* 0 where there was none */
  uint64_t exchanges;              /* requests that were answered, as far as bytes tell */
  uint64_t bytes_in;               /* of the client that went on to the backend */
  uint64_t bytes_out;              /* of the backend that went on to the client */
  uint64_t bytes_out_acknowledged; /* of these, what the client had acknowledged when its socket was closed */
  uint64_t bytes_in_acknowledged;  /* of bytes_in, the same of the backend; there where flags have IN_ACKNOWLEDGED */
} lemonade_session_record_t;

/* Sessions that have ended, in no particular order: each worker has its own. Owned by the host, constant; it and all
 * that it points to are valid during the call. */
typedef struct lemonade_session_batch {
  uint32_t struct_size;
  uint32_t record_count;                    /* records behind `records` */
  const lemonade_session_record_t* records; /* NULL where record_count is 0 */
  uint32_t record_stride; /* sizeof(lemonade_session_record_t) of the host; use lemonade_batch_record to index */
  uint32_t reserved;
  uint64_t dropped; /* records that this sink lost since the batch before */
} lemonade_session_batch_t;

/* ---- the table of functions ------------------------------------------------------------------------------------ */

/* The functions of a metrics sink. The plugin's, constant, there as long as its image. Slots marked optional may be
 * NULL; one of flush, render and session_records must be there, in a host of 1.0 one of the first two. */
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

  /* Optional, since 1.1. Takes sessions that have ended, some at a time and within a fraction of a second. deadline_ns
   * is as that of flush. A sink that lacks this slot costs the data path nothing.
   * Anything but LEMONADE_OK is counted and logged as that of flush; the batch is not handed over again.
   * The batch is valid during the call. Forbidden: going on after the deadline. [sink] */
  lemonade_status_t (*session_records)(void* self, const lemonade_session_batch_t* batch, uint64_t deadline_ns,
                                       lemonade_error_t* error) LEMONADE_NOEXCEPT;

  /* Optional, since 1.1. Opens anew what it writes to, such as a file that somebody has moved: the operator asks for it
   * by SIGUSR1 or through the admin listener. What it was handed before goes to what was open before.
   * Anything but LEMONADE_OK: it goes on with what was open; the operator is told *error.
   * Forbidden: blocking for long. [sink] */
  lemonade_status_t (*reopen)(void* self, lemonade_error_t* error) LEMONADE_NOEXCEPT;
} lemonade_metrics_sink_t;

/* Gives the record at an index below record_count. Valid as long as the batch. [any] */
static inline const lemonade_session_record_t* lemonade_batch_record(const lemonade_session_batch_t* batch,
                                                                     uint32_t index) {
  return (const lemonade_session_record_t*)(const void*)((const char*)batch->records +
                                                         (uint64_t)index * batch->record_stride);
}

/* The word for a LEMONADE_END_*: "done", "client-reset". "unknown" where it is newer than this header. [any] */
static inline lemonade_str_t lemonade_end_text(uint32_t end) {
  static const lemonade_str_t words[] = {LEMONADE_STR_INIT("done"),
                                         LEMONADE_STR_INIT("client-reset"),
                                         LEMONADE_STR_INIT("backend-reset"),
                                         LEMONADE_STR_INIT("idle-timeout"),
                                         LEMONADE_STR_INIT("half-close-timeout"),
                                         LEMONADE_STR_INIT("connect-failed"),
                                         LEMONADE_STR_INIT("no-backend"),
                                         LEMONADE_STR_INIT("queue-timeout"),
                                         LEMONADE_STR_INIT("rejected"),
                                         LEMONADE_STR_INIT("drain"),
                                         LEMONADE_STR_INIT("abandoned"),
                                         LEMONADE_STR_INIT("no-memory"),
                                         LEMONADE_STR_INIT("header-untrusted"),
                                         LEMONADE_STR_INIT("header-malformed"),
                                         LEMONADE_STR_INIT("header-timeout"),
                                         LEMONADE_STR_INIT("header-closed"),
                                         LEMONADE_STR_INIT("rebalance"),
                                         LEMONADE_STR_INIT("max-age"),
                                         LEMONADE_STR_INIT("unknown")};
  return words[end <= LEMONADE_END_MAX_AGE ? end : LEMONADE_END_MAX_AGE + 1];
}

/* 1 where a session did not go as its client may expect: it was refused, broken off by the backend or the balancer, or
 * ended while an answer was owed to it. A client that only looked whether somebody listens met no error. [any] */
static inline int32_t lemonade_record_is_error(const lemonade_session_record_t* record) {
  switch (record->reason) {
    case LEMONADE_END_DONE:
    case LEMONADE_END_CLIENT_RESET:
    case LEMONADE_END_IDLE_TIMEOUT:
    case LEMONADE_END_HALF_CLOSE_TIMEOUT:
      return (record->flags & LEMONADE_RECORD_UNANSWERED) != 0;
    case LEMONADE_END_ABANDONED:
    case LEMONADE_END_HEADER_CLOSED:
    case LEMONADE_END_REBALANCE:
    case LEMONADE_END_MAX_AGE:
      return 0;
    default:
      return 1;
  }
}

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
