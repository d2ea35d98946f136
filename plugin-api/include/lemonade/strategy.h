/* SPDX-License-Identifier: MIT
 *
 * The plugin ABI: a strategy chooses the backend of each connection.
 *
 * One instance is shared by all workers. The host hands pick() an immutable view of the backends, everything it knows
 * about the client, the time and a random number, so pick calls nothing, allocates nothing and makes no system call:
 * it is expected to take tens of nanoseconds. What has to be built from the backends (a ring, a table, an order) is
 * built by prepare(), once for each published view, on the control thread; the host keeps it alive as long as a worker
 * may still read it. What would be thread-local in an ordinary program lives in a lane, one for each worker.
 *
 * The host never trusts the answer: an index that is out of range, not eligible or already tried is counted, logged,
 * and answered by the host's own round robin instead. */
#ifndef LEMONADE_STRATEGY_H
#define LEMONADE_STRATEGY_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The id that get_interface knows the table below by. */
#define LEMONADE_STRATEGY_INTERFACE "lemonade.strategy/1"

/* ---- what a strategy sees -------------------------------------------------------------------------------------- */

/* The live numbers of one backend: one cache line, owned and written by the host while it is read. Read each field with
 * lemonade_load_u32, lemonade_load_u64, lemonade_load_f64 or lemonade_load_f32; fields are not consistent with each
 * other. They survive reloads, membership changes and plugin swaps. Never grows. */
typedef struct lemonade_backend_stats {
  uint32_t active;               /* sessions now, those still connecting included */
  uint32_t waiting;              /* exchanges whose answer has not begun */
  uint64_t waiting_since_sum_us; /* sum of their start times, modulo 2^64: see lemonade_mean_wait_ns */
  double connect_ewma_ns;        /* peak-sensitive average of the time to connect; 0: no sample yet */
  double exchange_ewma_ns;       /* the same, of the time from request to first byte of the answer; 0: no sample yet */
  uint64_t sampled_at_ns;        /* when the newest successful sample was taken; 0: never */
  uint64_t failed_at_ns;         /* when the newest failure was seen; 0: never */
  uint32_t fail_streak;          /* failures since the last success */
  float error_rate;              /* 0 to 1: share of sessions that failed, averaged over the last 32 or so */
  uint32_t picks;                /* sessions ever given to it, modulo 2^32 */
  uint32_t quiet;                /* of the active: those that were answered and have asked nothing since */
} lemonade_backend_stats_t;

#define LEMONADE_SPEED_SPANS 3 /* about the last 4, 32 and 256 samples. Since 1.2 */

/* What was learnt of the speed of one backend since 1.2, and how sure that is: one cache line, owned and written by the
 * host as the numbers above. A sample is the time between the answer before, or the start of the exchange if that was
 * later, and the answer: what the backend took for this exchange alone where it does one after the other, never more
 * than the exchange took. Kept are averages of its square root in nanoseconds, which very long answers move less than a
 * mean, and how many samples each is worth: those from before a long pause are worth less. */
typedef struct lemonade_backend_speed {
  uint32_t struct_size;
  float gap_ns;            /* usual time between two answers, in nanoseconds; 0: no two were seen yet */
  uint64_t answered_at_ns; /* when the newest answer came; 0: never */
  uint64_t head_since_ns;  /* while exchanges wait: when the one before was answered, or the first began */
  float root[3];           /* averages of the square root of samples over each span, the shortest first */
  float count[3];          /* so many samples is each worth; 0: none */
  float newest;            /* the square root of the newest sample */
  float spread;            /* variance of the square roots, as far as neighbours differ; 0: not known */
} lemonade_backend_speed_t;

/* Flags of a backend. A pick needs to look at none of them: it walks `eligible`. */
#define LEMONADE_BACKEND_HEALTHY UINT32_C(1)  /* observed: the last checks passed (or none ran yet) */
#define LEMONADE_BACKEND_ENABLED UINT32_C(2)  /* the operator's wish */
#define LEMONADE_BACKEND_DRAINING UINT32_C(4) /* it takes no new connections */
#define LEMONADE_BACKEND_ELIGIBLE UINT32_C(8) /* it may be picked: listed in eligible */
#define LEMONADE_BACKEND_EJECTED UINT32_C(16) /* observed: taken out for a while because its sessions failed */

/* One backend. Owned by the host, constant, valid as long as its view. Grows by the view's backend_stride. */
typedef struct lemonade_backend {
  lemonade_str_t id;         /* as configured, as text */
  lemonade_str_t name;       /* for people */
  lemonade_str_t address;    /* "10.0.1.10:8080", "[2001:db8::1]:80" */
  uint64_t identity;         /* hash of id and address: the same backend has the same value in every view */
  uint32_t weight;           /* configured; 0 takes no connections */
  uint32_t effective_weight; /* 1000 * weight, lowered while a slow start runs; 0 only where weight is 0 */
  uint32_t max_connections;  /* 0: no limit */
  uint32_t flags;            /* mask of LEMONADE_BACKEND_* */
  uint32_t priority;         /* its tier: 0 comes first, higher ones stand by */
  uint32_t reserved;
  const lemonade_backend_stats_t* stats; /* lives as long as the view */

  /* Since 1.1: ask LEMONADE_VIEW_HAS first. */
  lemonade_str_t zone;               /* as configured, such as "eu-1a"; empty where none is */
  const lemonade_label_t* labels;    /* as configured, in ascending order of their names; NULL where label_count is 0 */
  const lemonade_options_t* options; /* of the strategy's backend_options; NULL where it declares none */
  uint32_t label_count;              /* labels behind `labels` */
  uint32_t reserved1;                /* 0 */

  /* Since 1.2: ask LEMONADE_VIEW_HAS first. */
  const lemonade_backend_speed_t* speed; /* lives as long as the view */
} lemonade_backend_t;

/* An immutable set of backends, owned by the host. A new one is published for every change of membership, weight or
 * health, and there is one for each tier of priority that has eligible backends: `eligible` lists those of that tier,
 * and a pick is asked for from a later tier only when the earlier ones had no backend for the connection. The view and
 * everything it points to (the numbers behind stats apart) stay unchanged while a call that received it runs, and until
 * release() for a view that prepare() received. */
typedef struct lemonade_view {
  uint32_t struct_size;
  uint32_t backend_stride;            /* sizeof(lemonade_backend_t) of the host; use lemonade_view_backend to index */
  uint32_t backend_count;             /* backends behind `backends`: all of them, eligible or not */
  uint32_t eligible_count;            /* indices behind `eligible` */
  const lemonade_backend_t* backends; /* in the order of the configuration */
  const uint32_t* eligible;           /* indices into backends, ascending */
  uint64_t serial;                    /* counts what was published, from 1; tiers published together share it */

  /* Since 1.1: ask LEMONADE_HAS first. */
  lemonade_str_t pool; /* the name of the pool whose backends these are */
  lemonade_str_t zone; /* the balancer's own, as configured; empty where none is */
} lemonade_view_t;

/* What kind of address a client has, or the listener that it came to. */
#define LEMONADE_FAMILY_IPV4 UINT32_C(4)
#define LEMONADE_FAMILY_IPV6 UINT32_C(6)
#define LEMONADE_FAMILY_UNIX UINT32_C(1)

/* Everything known about the connection to place. Owned by the host, valid during pick. */
typedef struct lemonade_connection {
  uint32_t struct_size;
  uint32_t attempt;           /* 0 for the first pick of a connection, then how many backends failed it */
  uint64_t now_ns;            /* the monotonic clock, as it was when the worker woke up */
  uint64_t random;            /* uniform over 64 bits, fresh for each pick */
  uint8_t client_address[16]; /* network order; IPv4 as ::ffff:a.b.c.d */
  uint32_t client_family;     /* LEMONADE_FAMILY_* */
  uint16_t client_port;       /* host order */
  uint16_t local_port;        /* where the client came to, host order: the listener's, or what a PROXY header named */
  const uint32_t* tried;      /* indices this connection must not be given: failed before, or at their limit */
  uint32_t tried_count;       /* indices behind `tried` */
  uint32_t worker;            /* index of the calling worker */
  lemonade_str_t server_name; /* SNI where known, else empty; always empty in a 1.0 host */

  /* Since 1.1: ask LEMONADE_HAS first. */
  lemonade_str_t listener;   /* the name of the listener that took the connection */
  uint8_t local_address[16]; /* where the client came to, as client_address; zero without LEMONADE_NEED_LOCAL_ADDRESS */
  uint32_t local_family;     /* LEMONADE_FAMILY_*; 0 without LEMONADE_NEED_LOCAL_ADDRESS */
  uint32_t reserved;
} lemonade_connection_t;

/* ---- what a strategy answers and hears ------------------------------------------------------------------------- */

/* Answers of pick that are no index. NONE: no backend now; the host asks the next tier; where nobody has one, the
 * connection waits if a backend is at its limit, and is closed otherwise. */
#define LEMONADE_PICK_NONE UINT32_C(0xffffffff)
#define LEMONADE_PICK_REJECT UINT32_C(0xfffffffe) /* refuse this client: reset, counted as rejected by the strategy */

/* Events, one bit each; a strategy is told only of those in its `events` mask, and what nobody asks for costs nothing.
 * A pick is followed by one of CONNECTED, CONNECT_FAILED and ABANDONED; CONNECTED by any number of EXCHANGE, at most
 * one ERROR, and one CLOSED, all on the worker that picked. A pick of a backend that was at its limit is followed by
 * none: pick is asked again, with that backend in `tried`. */
#define LEMONADE_EVENT_CONNECTED UINT32_C(1)      /* value_ns: time to connect */
#define LEMONADE_EVENT_CONNECT_FAILED UINT32_C(2) /* error: errno; value_ns: time until it failed */
#define LEMONADE_EVENT_EXCHANGE UINT32_C(4)       /* value_ns: request to first byte of the answer */
#define LEMONADE_EVENT_CLOSED UINT32_C(8)         /* value_ns: duration; bytes_in, bytes_out, exchanges */
#define LEMONADE_EVENT_ERROR UINT32_C(16)         /* the connected backend failed it; error: errno */
#define LEMONADE_EVENT_ABANDONED UINT32_C(32)     /* given up before it was connected, by no fault of the backend */

/* What became of a pick. Owned by the host, valid during the call. */
typedef struct lemonade_strategy_event {
  uint32_t struct_size;
  uint32_t type;             /* one LEMONADE_EVENT_* */
  uint64_t backend_identity; /* of the picked backend, which may have left the view since */
  uint64_t cookie;           /* as pick left it */
  uint64_t now_ns;           /* the monotonic clock */
  uint64_t value_ns;         /* a duration: which one is said at the type; else 0 */
  uint64_t bytes_in;         /* of CLOSED: client to backend */
  uint64_t bytes_out;        /* of CLOSED: backend to client */
  uint64_t exchanges;        /* of CLOSED: how many there were */
  int32_t error;             /* errno, or 0 */
  uint32_t foreign; /* 1: picked by an earlier generation or by another in this one's place: cookie is not yours */
} lemonade_strategy_event_t;

/* What a strategy needs beyond what every pick is told; what nobody asks for costs nothing.
 * LOCAL_ADDRESS: local_address is the destination that the client's PROXY header named, where there was one, and
 * otherwise the address of the client's socket on this machine, which costs a system call for each pick. Of a Unix
 * socket there is a family and no address; where the address could not be learned, the family is 0.
 * REFUSALS: NONE and REJECT are meant, even where there is a backend that could be given. A strategy that does not say
 * so and answers them again and again while it is on probation is not believed: the host chooses a backend instead. */
#define LEMONADE_NEED_LOCAL_ADDRESS UINT32_C(1) /* local_address and local_family of the connection */
#define LEMONADE_NEED_REFUSALS UINT32_C(2)      /* since 1.2: NONE and REJECT stand, also on probation */

/* ---- the interface --------------------------------------------------------------------------------------------- */

/* The functions of a strategy. The plugin's, constant, there as long as its image. Slots marked optional may be
 * NULL. */
typedef struct lemonade_strategy {
  uint32_t struct_size; /* sizeof(lemonade_strategy_t) at build */
  uint32_t events;      /* mask of LEMONADE_EVENT_* to be told of; 0 where event is NULL */

  /* Makes an instance and writes it to *self, which may be NULL where there is nothing to keep.
   * Anything but LEMONADE_OK: no instance was made, *error says why, destroy is not called.
   * The instance is the plugin's until destroy; host outlives it; options are valid during the call. Forbidden:
   * blocking, and claiming what only one process can have (new plugins are rehearsed in another one). [control] */
  lemonade_status_t (*create)(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                              lemonade_error_t* error) LEMONADE_NOEXCEPT;

  /* Ends an instance. Nothing of it is called again; its lanes and prepared objects are gone already, and its host
   * table is revoked. Forbidden: blocking. [control] */
  void (*destroy)(void* self) LEMONADE_NOEXCEPT;

  /* Optional. Makes the lane of one worker and writes it to *lane; pick gets NULL where this slot is NULL.
   * Anything but LEMONADE_OK: there is no lane, and the instance is not used at all.
   * The lane is the plugin's until lane_destroy. Where workers are added later, their lanes are made while the others
   * pick. Forbidden: blocking. [control] */
  lemonade_status_t (*lane_create)(void* self, uint32_t worker, void** lane, lemonade_error_t* error) LEMONADE_NOEXCEPT;

  /* Optional, but required with lane_create. Ends a lane that no worker uses any more. Forbidden: blocking.
   * [control] */
  void (*lane_destroy)(void* self, void* lane) LEMONADE_NOEXCEPT;

  /* Optional. Builds what pick needs from a view that is about to be published, and writes it to *prepared.
   * Anything but LEMONADE_OK: the view is published without (prepared NULL), which pick must bear, and the host logs
   * it. The view stays valid until release; what was written is the plugin's until then, and pick reads it from several
   * threads, so it must not change except through atomics. Several are alive at once: one for each tier, and those of
   * the view before, which picks go on reading. Forbidden: blocking. [control] */
  lemonade_status_t (*prepare)(void* self, const lemonade_view_t* view, void** prepared, lemonade_error_t* error)
      LEMONADE_NOEXCEPT;

  /* Optional, but required with prepare. Frees a prepared object that no worker reads any more, once for each that
   * prepare wrote and that is not NULL; in any order. Forbidden: blocking. [control] */
  void (*release)(void* self, void* prepared) LEMONADE_NOEXCEPT;

  /* Chooses a backend of the view for a connection.
   * Returns an index into view->backends that is eligible and not in connection->tried, or LEMONADE_PICK_NONE or
   * LEMONADE_PICK_REJECT. lane is the calling worker's, or NULL where there is no lane_create; prepared belongs to this
   * very view, or is NULL. *cookie is 0 and may be set: it comes back with every event of this pick.
   * Everything it is handed is valid during the call only, prepared and its view until release. Forbidden: allocating,
   * blocking, system calls, the host table. [worker] */
  uint32_t (*pick)(void* self, void* lane, const void* prepared, const lemonade_connection_t* connection,
                   const lemonade_view_t* view, uint64_t* cookie) LEMONADE_NOEXCEPT;

  /* Optional, but required where `events` is not 0. Tells of one event of the mask, after the pick it belongs to.
   * lane is the calling worker's, or NULL where there is no lane_create. The event is valid during the call. Forbidden:
   * what pick forbids. [worker] */
  void (*event)(void* self, void* lane, const lemonade_strategy_event_t* event) LEMONADE_NOEXCEPT;

  /* Optional. Gives the name and version of the state that export_state writes, such as "com.example.ewma/2".
   * The text is the plugin's and stays as it is until destroy. [control] */
  lemonade_str_t (*state_format)(void* self) LEMONADE_NOEXCEPT;

  /* Optional, required with state_format. Writes the state of the instance, at most 16 MiB, for a later generation.
   * Anything but LEMONADE_OK: the later generation starts without.
   * The writer is valid during the call. Picks and events go on meanwhile. Forbidden: blocking. [control] */
  lemonade_status_t (*export_state)(void* self, const lemonade_writer_t* writer, lemonade_error_t* error)
      LEMONADE_NOEXCEPT;

  /* Optional. Takes over what an earlier generation exported, of this strategy or of another; called at most once,
   * before the first prepare and pick.
   * LEMONADE_ERROR_UNSUPPORTED: the format is unknown, the instance is as before and is used; any other error: the
   * instance is not used.
   * format and data are valid during the call, and may hold anything: check them. Forbidden: blocking. [control] */
  lemonade_status_t (*import_state)(void* self, lemonade_str_t format, lemonade_str_t data, lemonade_error_t* error)
      LEMONADE_NOEXCEPT;

  /* Since 1.1: a host of 1.0 reads none of these. The schema is of what an operator may say for this strategy in the
   * `options` of a backend. The host treats it as that of the plugin: it refuses what is not in order, fills defaults,
   * and hands each backend of a view its values. Constant, as all of the table. */
  const lemonade_option_t* backend_options; /* NULL where backend_option_count is 0 */
  uint32_t backend_option_count;            /* rows behind backend_options */
  uint32_t backend_option_stride;           /* sizeof(lemonade_option_t) at build */
  uint32_t needs;                           /* mask of LEMONADE_NEED_* */
  uint32_t reserved;

  /* Optional, since 1.2. Says in a few words why pick answered so, for people: no newline, no end. Asked only while an
   * operator looks, right after the pick, with what that was handed; index is what it answered, of a backend of the
   * view.
   * Writes at most size bytes of UTF-8 to text and returns how many; 0: it has nothing to say.
   * Everything it is handed is valid during the call only, prepared and its view until release. Live numbers may have
   * moved since the pick. Forbidden: what pick forbids, and changing what later picks answer. [worker] */
  uint32_t (*why)(void* self, void* lane, const void* prepared, const lemonade_connection_t* connection,
                  const lemonade_view_t* view, uint32_t index, char* text, uint32_t size) LEMONADE_NOEXCEPT;
} lemonade_strategy_t;

/* ---- helpers --------------------------------------------------------------------------------------------------- */

/* Reads one uint32_t of lemonade_backend_stats_t while the host writes it. [any] */
static inline uint32_t lemonade_load_u32(const uint32_t* field) { return __atomic_load_n(field, __ATOMIC_RELAXED); }

/* The same of a uint64_t. [any] */
static inline uint64_t lemonade_load_u64(const uint64_t* field) { return __atomic_load_n(field, __ATOMIC_RELAXED); }

/* The same of a double. [any] */
static inline double lemonade_load_f64(const double* field) {
  double value;
  __atomic_load(field, &value, __ATOMIC_RELAXED);
  return value;
}

/* The same of a float. [any] */
static inline float lemonade_load_f32(const float* field) {
  float value;
  __atomic_load(field, &value, __ATOMIC_RELAXED);
  return value;
}

/* True where the host is new enough for a field of its backends that is newer than 1.0. */
#define LEMONADE_VIEW_HAS(view, field) ((view)->backend_stride >= LEMONADE_SIZE_TO(lemonade_backend_t, field))

/* The backend at an index of the view, which must be below backend_count. Valid as long as the view. [any] */
static inline const lemonade_backend_t* lemonade_view_backend(const lemonade_view_t* view, uint32_t index) {
  return (const lemonade_backend_t*)(const void*)((const char*)view->backends + (uint64_t)index * view->backend_stride);
}

/* The value of a label of the backend at an index below backend_count. Empty where it has no label of that name, or the
 * host is older than 1.1. Valid as long as the view. Meant for prepare: it compares texts. [any] */
static inline lemonade_str_t lemonade_backend_label(const lemonade_view_t* view, uint32_t index, lemonade_str_t name) {
  const lemonade_backend_t* backend = lemonade_view_backend(view, index);
  const lemonade_str_t none = {NULL, 0};
  uint32_t i;
  if (!LEMONADE_VIEW_HAS(view, label_count)) return none;
  for (i = 0; i < backend->label_count; ++i)
    if (lemonade_str_equal(backend->labels[i].name, name)) return backend->labels[i].value;
  return none;
}

/* 1 where the backend at an index below backend_count is in the balancer's own zone; 0 also where either zone is not
 * known. Meant for prepare: it compares texts. [any] */
static inline int32_t lemonade_backend_is_near(const lemonade_view_t* view, uint32_t index) {
  return LEMONADE_HAS(view, lemonade_view_t, zone) && LEMONADE_VIEW_HAS(view, zone) && view->zone.size != 0 &&
         lemonade_str_equal(view->zone, lemonade_view_backend(view, index)->zone);
}

/* The mean age, in nanoseconds, of the exchanges that still wait for their answer; 0 where none waits. A hung backend
 * shows here before any sample of it ends. [any] */
static inline uint64_t lemonade_mean_wait_ns(const lemonade_backend_stats_t* stats, uint64_t now_ns) {
  const uint64_t waiting = lemonade_load_u32(&stats->waiting);
  const uint64_t age_sum_us = now_ns / 1000 * waiting - lemonade_load_u64(&stats->waiting_since_sum_us);
  if (waiting == 0 || age_sum_us >> 63 != 0) return 0; /* none, or caught between two updates */
  return age_sum_us / waiting * 1000;
}

/* 1 where the connection may be given the backend at index: not tried, and below its own limit. Eligibility is not
 * asked: walk view->eligible. [worker] */
static inline int32_t lemonade_may_pick(const lemonade_connection_t* connection, const lemonade_view_t* view,
                                        uint32_t index) {
  const lemonade_backend_t* backend = lemonade_view_backend(view, index);
  uint32_t i;
  for (i = 0; i < connection->tried_count; ++i)
    if (connection->tried[i] == index) return 0;
  return backend->max_connections == 0 || lemonade_load_u32(&backend->stats->active) < backend->max_connections;
}

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
