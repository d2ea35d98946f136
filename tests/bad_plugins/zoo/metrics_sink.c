/* SPDX-License-Identifier: MIT
 *
 * A metrics sink that writes a line for each series, and does one thing wrong. */
#define BEAST_KIND LEMONADE_KIND_METRICS_SINK
#include "beast.h"

#include <lemonade/metrics_sink.h>
#include <stdio.h>
#include <unistd.h>

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) {
  (void)host;
  (void)options;
  *self = malloc(1);
  return *self != NULL ? LEMONADE_OK : beastFail(error, LEMONADE_ERROR_NO_MEMORY, "out of memory");
}

static void destroy(void* self) { free(self); }

static lemonade_str_t contentType(void* self, lemonade_str_t accept) {
  (void)self;
  (void)accept;
  return LEMONADE_STR("text/plain");
}

static lemonade_status_t render(void* self, const lemonade_snapshot_t* snapshot, lemonade_str_t accept,
                                const lemonade_writer_t* writer, lemonade_error_t* error) {
  uint32_t f;
  uint32_t s;
  (void)self;
  (void)accept;
  for (f = 0; f < snapshot->family_count; ++f) {
    const lemonade_family_t* family = lemonade_snapshot_family(snapshot, f);
    if (DOES("expect_series") && family->series_count == 0) abort();
    if (DOES("count_to_thousand") && family->series_count > 1000) abort();
    for (s = 0; s < family->series_count; ++s) {
      char line[64];
      const double value = lemonade_family_series(family, s)->value;
      const int size = snprintf(line, sizeof(line), "%.17g\n", value);
      lemonade_status_t status;
      if (DOES("expect_numbers") && value != value) abort();
      status = writer->write(writer->context, line, (uint64_t)size);
      if (status != LEMONADE_OK && !DOES("talk_on")) return beastFail(error, status, "the reader is gone");
    }
  }
  return LEMONADE_OK;
}

static void onHealth(void* self, const lemonade_health_event_t* event) {
  (void)self;
  if (DOES("know_all_states") && event->state > LEMONADE_HEALTH_EJECTED) abort();
}

static lemonade_status_t onSessions(void* self, const lemonade_session_batch_t* batch, uint64_t deadline_ns,
                                    lemonade_error_t* error) {
  uint32_t i;
  (void)self;
  (void)deadline_ns;
  (void)error;
  for (i = 0; i < batch->record_count; ++i)
    if (DOES("know_all_reasons") && lemonade_batch_record(batch, i)->reason > LEMONADE_END_MAX_AGE) abort();
  return LEMONADE_OK;
}

static lemonade_status_t reopen(void* self, lemonade_error_t* error) {
  static int opened;
  (void)self;
  (void)error;
  if (DOES("reopen_once") && opened++ != 0) abort();
  return LEMONADE_OK;
}

static const lemonade_metrics_sink_t kTable = {
    sizeof(kTable), 0, create, destroy, NULL, contentType, render, onHealth, onSessions, reopen,
};

static const void* beastInterface(lemonade_str_t id) {
  return beastAnswer(id, LEMONADE_METRICS_SINK_INTERFACE, &kTable);
}
