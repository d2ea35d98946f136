/* SPDX-License-Identifier: MIT
 *
 * A health checker that waits for "OK", and does one thing wrong. */
#define BEAST_KIND LEMONADE_KIND_HEALTH_CHECKER
#include "beast.h"

#include <lemonade/health_checker.h>

typedef struct probe {
  char bytes[8];
  uint64_t size;
} probe_t;

static int probing; /* probes under way */

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) {
  (void)host;
  (void)options;
  *self = malloc(1);
  return *self != NULL ? LEMONADE_OK : beastFail(error, LEMONADE_ERROR_NO_MEMORY, "out of memory");
}

static void destroy(void* self) { free(self); }

static lemonade_status_t begin(void* self, const lemonade_probe_target_t* target, void** probe,
                               lemonade_probe_verdict_t* verdict) {
  (void)self;
  (void)target;
  (void)verdict;
  *probe = calloc(1, sizeof(probe_t));
  if (DOES("one_probe") && ++probing > 50) abort();
  return *probe != NULL ? LEMONADE_OK : LEMONADE_ERROR_NO_MEMORY;
}

static void onEvent(void* self, void* at, const lemonade_probe_event_t* event, lemonade_probe_verdict_t* verdict) {
  probe_t* probe = at;
  uint64_t i;
  (void)self;
  if (event->type == LEMONADE_PROBE_CONNECTED) return;
  verdict->what = DOES("unknown_verdict") ? 77 : LEMONADE_VERDICT_FAIL;
  verdict->reason = LEMONADE_STR("no OK");
  if (event->type != LEMONADE_PROBE_DATA) return;
  if (DOES("choke_on_bytes"))
    for (i = 0; i < event->data.size; ++i)
      if ((unsigned char)event->data.data[i] > 127) abort();
  for (i = 0; i < event->data.size && probe->size < 2; ++i) probe->bytes[probe->size++] = event->data.data[i];
  if (DOES("whole_answers_only"))
    verdict->what =
        event->data.size >= 2 && memcmp(event->data.data, "OK", 2) == 0 ? LEMONADE_VERDICT_PASS : LEMONADE_VERDICT_FAIL;
  else if (probe->size < 2)
    verdict->what = LEMONADE_VERDICT_WAIT;
  else if (memcmp(probe->bytes, "OK", 2) == 0)
    verdict->what = LEMONADE_VERDICT_PASS;
}

static void end(void* self, void* probe) {
  (void)self;
  --probing;
  if (DOES("leak_cancelled") && ((probe_t*)probe)->size < 2) return;
  free(probe);
}

static const lemonade_health_checker_t kTable = {sizeof(kTable), 0, create, destroy, begin, onEvent, end};

static const void* beastInterface(lemonade_str_t id) {
  return beastAnswer(id, LEMONADE_HEALTH_CHECKER_INTERFACE, &kTable);
}
