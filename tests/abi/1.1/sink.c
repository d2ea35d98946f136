/* SPDX-License-Identifier: MIT
 *
 * A metrics sink in C that takes session records and nothing else, and counts what it is told: what 1.1 added to sinks.
 * It needs a host of 1.1. */
#include <lemonade/metrics_sink.h>

#include <stdlib.h>
#include <string.h>

typedef struct instance {
  lemonade_metric_cell_t* sessions;
  lemonade_metric_cell_t* errors;
  lemonade_metric_cell_t* bytes;
  lemonade_metric_cell_t* lost;
  lemonade_metric_cell_t* reopened;
  lemonade_metric_cell_t* surprises;
} instance_t;

static lemonade_metric_cell_t* counter(const lemonade_host_t* host, const char* name, uint64_t size) {
  lemonade_metric_cell_t* cell = NULL;
  const lemonade_str_t text = {name, size};
  const lemonade_str_t help = LEMONADE_STR("Counted by a sink of ABI 1.1.");
  (void)host->register_metric(host->context, LEMONADE_METRIC_COUNTER, text, help, &cell);
  return cell;
}
#define COUNTER(host, name) counter(host, name, sizeof(name) - 1)

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) LEMONADE_NOEXCEPT {
  instance_t* made = calloc(1, sizeof(*made));
  (void)options;
  if (made == NULL) {
    error->code = LEMONADE_ERROR_NO_MEMORY;
    memcpy(error->message, "out of memory", sizeof("out of memory"));
    return LEMONADE_ERROR_NO_MEMORY;
  }
  made->sessions = COUNTER(host, "frozen_1_1_sessions_total");
  made->errors = COUNTER(host, "frozen_1_1_errors_total");
  made->bytes = COUNTER(host, "frozen_1_1_bytes_total");
  made->lost = COUNTER(host, "frozen_1_1_lost_total");
  made->reopened = COUNTER(host, "frozen_1_1_reopened_total");
  made->surprises = COUNTER(host, "frozen_1_1_sink_surprises_total");
  *self = made;
  return LEMONADE_OK;
}

static void destroy(void* self) LEMONADE_NOEXCEPT { free(self); }

/* Whether a record looks as it should: who took part is known, and the times fit. */
static int32_t isSound(const lemonade_session_record_t* record) {
  const int32_t had_backend = record->backend_identity != 0;
  if (record->listener.size == 0 || record->client.size == 0 || record->peer.size == 0) return 0;
  if (had_backend != (record->backend.size != 0) || had_backend != (record->backend_address.size != 0)) return 0;
  if (record->started_unix_ns == 0 || record->queue_ns > record->duration_ns) return 0;
  if (record->bytes_out_acknowledged > record->bytes_out) return 0;
  return lemonade_end_text(record->reason).size != 0;
}

static lemonade_status_t sessionRecords(void* self, const lemonade_session_batch_t* batch, uint64_t deadline_ns,
                                        lemonade_error_t* error) LEMONADE_NOEXCEPT {
  instance_t* one = self;
  uint32_t i;
  (void)error;
  if (deadline_ns == 0) lemonade_metric_add(one->surprises, 1);
  lemonade_metric_add(one->lost, (int64_t)batch->dropped);
  for (i = 0; i < batch->record_count; ++i) {
    const lemonade_session_record_t* record = lemonade_batch_record(batch, i);
    lemonade_metric_add(one->sessions, 1);
    lemonade_metric_add(one->errors, lemonade_record_is_error(record));
    lemonade_metric_add(one->bytes, (int64_t)(record->bytes_in + record->bytes_out));
    if (!isSound(record)) lemonade_metric_add(one->surprises, 1);
  }
  return LEMONADE_OK;
}

static lemonade_status_t reopen(void* self, lemonade_error_t* error) LEMONADE_NOEXCEPT {
  (void)error;
  lemonade_metric_add(((instance_t*)self)->reopened, 1);
  return LEMONADE_OK;
}

static const lemonade_metrics_sink_t kTable = {
    sizeof(kTable), 0, create, destroy, NULL, NULL, NULL, NULL, sessionRecords, reopen,
};

static const void* getInterface(lemonade_str_t id) LEMONADE_NOEXCEPT {
  const lemonade_str_t known = LEMONADE_STR(LEMONADE_METRICS_SINK_INTERFACE);
  return lemonade_str_equal(id, known) ? &kTable : NULL;
}

LEMONADE_EXPORT const lemonade_plugin_t lemonade_plugin_v1 = {
    .tag = {.magic = {'L', 'E', 'M', 'O', 'N', 'A', 'D', 'E'},
            .abi_major = LEMONADE_ABI_MAJOR,
            .abi_minor = LEMONADE_ABI_MINOR,
            .need_minor = 1,
            .kinds = LEMONADE_KIND_METRICS_SINK,
            .flags = LEMONADE_FLAG_UNLOAD_SAFE,
            .layout_hash = LEMONADE_LAYOUT_HASH},
    .id = "com.example.frozen_1_1_sink",
    .version = "1.0.0",
    .struct_size = sizeof(lemonade_plugin_t),
    .option_stride = sizeof(lemonade_option_t),
    .name = LEMONADE_STR("Frozen sink"),
    .vendor = LEMONADE_STR("Example"),
    .license = LEMONADE_STR("MIT"),
    .doc = LEMONADE_STR("Counts sessions."),
    .get_interface = getInterface,
};
