/* SPDX-License-Identifier: MIT
 *
 * The plugin ABI: a health checker decides whether a backend is alive.
 *
 * The host owns the socket, connecting, the timeout, the schedule and the counting of passes and failures; the checker
 * is a machine that is fed events and answers with what to do next. It therefore cannot block, leak a descriptor or
 * outlive a swap, and can be tested one byte at a time. */
#ifndef LEMONADE_HEALTH_CHECKER_H
#define LEMONADE_HEALTH_CHECKER_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The id that get_interface knows the table below by. */
#define LEMONADE_HEALTH_CHECKER_INTERFACE "lemonade.health_checker/1"

/* The backend to probe. Owned by the host; it and its texts are valid during probe_begin. */
typedef struct lemonade_probe_target {
  uint32_t struct_size;
  uint32_t reserved;
  lemonade_str_t id;       /* as configured, as text */
  lemonade_str_t name;     /* for people; may be empty */
  lemonade_str_t address;  /* resolved: "10.0.1.10:8080", "[2001:db8::1]:80" */
  lemonade_str_t hostname; /* as configured, without the port */
  uint64_t identity;       /* hash of id and address, the same in every probe */
  uint64_t timeout_ns;     /* the whole probe gets this long */
  uint64_t now_ns;         /* the monotonic clock */
} lemonade_probe_target_t;

/* What happened to a probe. DATA comes in any number after CONNECTED; EOF, ERROR and TIMEOUT are the last. */
#define LEMONADE_PROBE_CONNECTED UINT32_C(1) /* the connection is up */
#define LEMONADE_PROBE_DATA UINT32_C(2)      /* data: bytes received, in pieces of any size */
#define LEMONADE_PROBE_EOF UINT32_C(3)       /* the backend finished sending */
#define LEMONADE_PROBE_ERROR UINT32_C(4)     /* error: errno, of connecting or of the connection */
#define LEMONADE_PROBE_TIMEOUT UINT32_C(5)   /* timeout_ns is over */

/* One event of a probe. Owned by the host, valid during the call. */
typedef struct lemonade_probe_event {
  uint32_t struct_size;
  uint32_t type;       /* LEMONADE_PROBE_* */
  uint64_t elapsed_ns; /* since probe_begin */
  lemonade_str_t data; /* of DATA */
  int32_t error;       /* of ERROR: errno */
  uint32_t reserved;
} lemonade_probe_event_t;

/* What a checker wants next. */
#define LEMONADE_VERDICT_WAIT UINT32_C(0)     /* go on: wait for the next event */
#define LEMONADE_VERDICT_SEND UINT32_C(1)     /* send `send`, then wait for the next event */
#define LEMONADE_VERDICT_PASS UINT32_C(2)     /* alive: the probe ends */
#define LEMONADE_VERDICT_FAIL UINT32_C(3)     /* not alive: the probe ends, `reason` says why */
#define LEMONADE_VERDICT_DEGRADED UINT32_C(4) /* alive, but unwell: counts as a pass, `reason` is shown */

/* What to do next. Owned by the host, which zeroes it before each call; the texts are the plugin's. */
typedef struct lemonade_probe_verdict {
  uint32_t struct_size;
  uint32_t what;         /* LEMONADE_VERDICT_* */
  lemonade_str_t send;   /* of SEND: the plugin's, unchanged until the next call for this probe; at most 64 KiB */
  lemonade_str_t reason; /* of FAIL and DEGRADED: the plugin's, unchanged until probe_end; at most 256 bytes are shown;
                            empty: the host finds words */
} lemonade_probe_verdict_t;

/* The functions of a health checker. The plugin's, constant, there as long as its image. All slots are required. */
typedef struct lemonade_health_checker {
  uint32_t struct_size; /* sizeof(lemonade_health_checker_t) at build */
  uint32_t reserved;

  /* Makes an instance and writes it to *self, which may be NULL where there is nothing to keep.
   * Anything but LEMONADE_OK: no instance was made, *error says why, destroy is not called.
   * The instance is the plugin's until destroy; host outlives it; options are valid during the call. Forbidden:
   * blocking, and claiming what only one process can have (new plugins are rehearsed in another one). [control] */
  lemonade_status_t (*create)(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                              lemonade_error_t* error) LEMONADE_NOEXCEPT;

  /* Ends an instance. All its probes have ended, and its host table is revoked. Forbidden: blocking. [control] */
  void (*destroy)(void* self) LEMONADE_NOEXCEPT;

  /* Begins a probe, before the host connects. Writes the probe to *probe, which may be NULL, and where there is
   * something to send as soon as the connection is up, a SEND to *verdict; any other verdict is obeyed, too.
   * Anything but LEMONADE_OK: the probe did not begin, counts as failed, and probe_end is not called.
   * The probe is the plugin's until probe_end. Many probes run at once, never two of one backend. Forbidden: blocking.
   * [probe] */
  lemonade_status_t (*probe_begin)(void* self, const lemonade_probe_target_t* target, void** probe,
                                   lemonade_probe_verdict_t* verdict) LEMONADE_NOEXCEPT;

  /* Takes one event and fills *verdict. After PASS, FAIL or DEGRADED there are no more events, only probe_end. After
   * EOF, ERROR and TIMEOUT, WAIT and SEND count as FAIL, and so does a verdict that there is not.
   * The event is valid during the call, what *verdict points to as it says. Forbidden: blocking. [probe] */
  void (*probe_event)(void* self, void* probe, const lemonade_probe_event_t* event, lemonade_probe_verdict_t* verdict)
      LEMONADE_NOEXCEPT;

  /* Ends a probe, exactly once for each that began, also when it is cancelled half way. Forbidden: blocking. [probe] */
  void (*probe_end)(void* self, void* probe) LEMONADE_NOEXCEPT;
} lemonade_health_checker_t;

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
