/* SPDX-License-Identifier: MIT
 *
 * A metrics sink in C: a line for each series, and counters of what it is told. Has every function of ABI 1.0. */
#include "entry.h"

#include <lemonade/metrics_sink.h>

#include <stdio.h>
#include <stdlib.h>

static const lemonade_option_t kRows[] = {
    {LEMONADE_STR("token"),
     LEMONADE_OPTION_STRING,
     LEMONADE_OPTION_SECRET,
     0,
     0,
     LEMONADE_STR(""),
     {NULL, 0},
     LEMONADE_STR("A secret.")},
};

typedef struct instance {
  lemonade_metric_cell_t* flushes;
  lemonade_metric_cell_t* health_events;
  lemonade_metric_cell_t* surprises;
  lemonade_metric_cell_t* families; /* a gauge */
} instance_t;

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) LEMONADE_NOEXCEPT {
  instance_t* made = calloc(1, sizeof(*made));
  (void)options;
  if (made == NULL) return fail(error, LEMONADE_ERROR_NO_MEMORY, "out of memory");
  made->flushes = counter(host, "frozen_flushes_total");
  made->health_events = counter(host, "frozen_health_events_total");
  made->surprises = counter(host, "frozen_surprises_total");
  (void)host->register_metric(host->context, LEMONADE_METRIC_GAUGE, text("frozen_families"), text("Seen last."),
                              &made->families);
  *self = made;
  return LEMONADE_OK;
}

static void destroy(void* self) LEMONADE_NOEXCEPT { free(self); }

/* Whether a series looks as its type has it. */
static int32_t soundSeries(const lemonade_family_t* family, const lemonade_series_t* series) {
  uint32_t i;
  for (i = 0; i < series->label_count; ++i)
    if (series->labels[i].name.size == 0) return 0;
  if (family->type != LEMONADE_METRIC_HISTOGRAM) return series->id != 0 && series->bucket_count == 0;
  for (i = 1; i < series->bucket_count; ++i)
    if (series->buckets[i].upper <= series->buckets[i - 1].upper ||
        series->buckets[i].cumulative < series->buckets[i - 1].cumulative)
      return 0;
  return series->id != 0 && series->bucket_count != 0 &&
         series->buckets[series->bucket_count - 1].cumulative == series->count;
}

static lemonade_status_t flush(void* self, const lemonade_snapshot_t* snapshot, uint64_t deadline_ns,
                               lemonade_error_t* error) LEMONADE_NOEXCEPT {
  instance_t* one = self;
  uint32_t f, s;
  (void)error;
  lemonade_metric_add(one->flushes, 1);
  lemonade_metric_set(one->families, snapshot->family_count);
  if (deadline_ns == 0 || snapshot->unix_ns == 0) lemonade_metric_add(one->surprises, 1);
  for (f = 0; f < snapshot->family_count; ++f) {
    const lemonade_family_t* family = lemonade_snapshot_family(snapshot, f);
    for (s = 0; s < family->series_count; ++s)
      if (!soundSeries(family, lemonade_family_series(family, s))) lemonade_metric_add(one->surprises, 1);
  }
  return LEMONADE_OK;
}

static lemonade_str_t contentType(void* self, lemonade_str_t accept) LEMONADE_NOEXCEPT {
  (void)self;
  (void)accept;
  return text("text/x-frozen");
}

static lemonade_status_t render(void* self, const lemonade_snapshot_t* snapshot, lemonade_str_t accept,
                                const lemonade_writer_t* writer, lemonade_error_t* error) LEMONADE_NOEXCEPT {
  uint32_t f, s;
  (void)self;
  (void)accept;
  for (f = 0; f < snapshot->family_count; ++f) {
    const lemonade_family_t* family = lemonade_snapshot_family(snapshot, f);
    for (s = 0; s < family->series_count; ++s) {
      char value[64];
      const int size = snprintf(value, sizeof(value), " %.17g\n", lemonade_family_series(family, s)->value);
      lemonade_status_t status = writer->write(writer->context, family->name.data, family->name.size);
      if (status == LEMONADE_OK) status = writer->write(writer->context, value, (uint64_t)size);
      if (status != LEMONADE_OK) return fail(error, status, "the reader is gone");
    }
  }
  return LEMONADE_OK;
}

static void onHealth(void* self, const lemonade_health_event_t* event) LEMONADE_NOEXCEPT {
  instance_t* one = self;
  if (event->state <= LEMONADE_HEALTH_EJECTED) lemonade_metric_add(one->health_events, 1);
}

static const lemonade_metrics_sink_t kTable = {
    sizeof(kTable), 0, create, destroy, flush, contentType, render, onHealth,
};

static const void* interfaceOf(lemonade_str_t id) { return same(id, LEMONADE_METRICS_SINK_INTERFACE) ? &kTable : NULL; }

ENTRY(LEMONADE_KIND_METRICS_SINK, "com.example.frozen_sink", kRows)
