/* SPDX-License-Identifier: MIT
 *
 * A health checker in C: asks by HTTP/1.0, and passes what answers 200. Uses every verdict and event of ABI 1.0. */
#include "entry.h"

#include <lemonade/health_checker.h>

#include <stdlib.h>

#define REQUEST "GET / HTTP/1.0\r\n\r\n"

static const lemonade_option_t kRows[] = {
    {LEMONADE_STR("expect"),
     LEMONADE_OPTION_STRING,
     0,
     0,
     0,
     LEMONADE_STR(" 200"),
     {NULL, 0},
     LEMONADE_STR("After HTTP/1.x")},
};

typedef struct instance {
  lemonade_metric_cell_t* begun;
  lemonade_metric_cell_t* ended;
  lemonade_metric_cell_t* surprises;
  char expect[32];
  uint64_t size;
} instance_t;

typedef struct probe {
  char line[64]; /* as much of the status line as has come */
  uint64_t size;
} probe_t;

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) LEMONADE_NOEXCEPT {
  const lemonade_str_t expect = options->values[0].text;
  instance_t* made;
  if (expect.size > sizeof(made->expect)) return fail(error, LEMONADE_ERROR_INVALID, "expects too much");
  made = calloc(1, sizeof(*made));
  if (made == NULL) return fail(error, LEMONADE_ERROR_NO_MEMORY, "out of memory");
  if (expect.size != 0) memcpy(made->expect, expect.data, expect.size);
  made->size = expect.size;
  made->begun = counter(host, "frozen_probes_total");
  made->ended = counter(host, "frozen_ended_total");
  made->surprises = counter(host, "frozen_surprises_total");
  *self = made;
  return LEMONADE_OK;
}

static void destroy(void* self) LEMONADE_NOEXCEPT { free(self); }

static lemonade_status_t probeBegin(void* self, const lemonade_probe_target_t* target, void** probe,
                                    lemonade_probe_verdict_t* verdict) LEMONADE_NOEXCEPT {
  instance_t* one = self;
  *probe = calloc(1, sizeof(probe_t));
  if (*probe == NULL) return LEMONADE_ERROR_NO_MEMORY;
  lemonade_metric_add(one->begun, 1);
  if (target->id.size == 0 || target->address.size == 0 || target->hostname.size == 0 || target->identity == 0 ||
      target->timeout_ns == 0 || target->now_ns == 0 || verdict->what != LEMONADE_VERDICT_WAIT)
    lemonade_metric_add(one->surprises, 1);
  verdict->what = LEMONADE_VERDICT_SEND;
  verdict->send = text(REQUEST);
  return LEMONADE_OK;
}

/* Whether the line begins as wanted: 1, 0, or -1 where it is too short to say. */
static int32_t begins(const instance_t* one, const probe_t* probe) {
  static const char version[] = "HTTP/1.";
  const uint64_t before = sizeof(version) - 1; /* then one digit */
  if (probe->size < before + 1 + one->size) return -1;
  return memcmp(probe->line, version, before) == 0 && memcmp(probe->line + before + 1, one->expect, one->size) == 0;
}

static void probeEvent(void* self, void* at, const lemonade_probe_event_t* event,
                       lemonade_probe_verdict_t* verdict) LEMONADE_NOEXCEPT {
  instance_t* one = self;
  probe_t* probe = at;
  uint64_t i;
  switch (event->type) {
    case LEMONADE_PROBE_DATA:
      for (i = 0; i < event->data.size && probe->size < sizeof(probe->line); ++i)
        probe->line[probe->size++] = event->data.data[i];
      if (begins(one, probe) < 0) return;
      verdict->what = begins(one, probe) ? LEMONADE_VERDICT_PASS : LEMONADE_VERDICT_DEGRADED;
      verdict->reason = text("another status");
      return;
    case LEMONADE_PROBE_ERROR:
      if (event->error == 0) lemonade_metric_add(one->surprises, 1);
      verdict->what = LEMONADE_VERDICT_FAIL;
      return;
    case LEMONADE_PROBE_EOF:
    case LEMONADE_PROBE_TIMEOUT:
      verdict->what = LEMONADE_VERDICT_FAIL;
      verdict->reason = text("no answer");
      return;
    default: /* connected, or newer than this */
      verdict->what = LEMONADE_VERDICT_WAIT;
  }
}

static void probeEnd(void* self, void* probe) LEMONADE_NOEXCEPT {
  lemonade_metric_add(((instance_t*)self)->ended, 1);
  free(probe);
}

static const lemonade_health_checker_t kTable = {sizeof(kTable), 0, create, destroy, probeBegin, probeEvent, probeEnd};

static const void* interfaceOf(lemonade_str_t id) {
  return same(id, LEMONADE_HEALTH_CHECKER_INTERFACE) ? &kTable : NULL;
}

ENTRY(LEMONADE_KIND_HEALTH_CHECKER, "com.example.frozen_checker", kRows)
