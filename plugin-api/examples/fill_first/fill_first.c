/* SPDX-License-Identifier: MIT
 *
 * A whole strategy in plain C. Backends are filled one after the other: each takes `sessions` for each unit of its
 * weight before the next one is used, so that few machines do the work and the rest may be switched off. Where all are
 * full, the one with the fewest sessions for its weight takes the connection. */
#include <lemonade/strategy.h>

#include <stdlib.h>
#include <string.h>

/* Constant after create: pick runs on all workers at once. */
struct fill_first {
  uint64_t sessions;
};

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) {
  static const char out_of_memory[] = "out of memory";
  struct fill_first* made = malloc(sizeof(*made));
  (void)host;
  if (made == NULL) {
    memcpy(error->message, out_of_memory, sizeof(out_of_memory));
    return error->code = LEMONADE_ERROR_NO_MEMORY;
  }
  made->sessions = (uint64_t)options->values[0].integer; /* the row of the schema below; the host has checked it */
  *self = made;
  return LEMONADE_OK;
}

static void destroy(void* self) { free(self); }

static uint32_t pick(void* self, void* lane, const void* prepared, const lemonade_connection_t* connection,
                     const lemonade_view_t* view, uint64_t* cookie) {
  const struct fill_first* me = self;
  uint32_t emptiest = LEMONADE_PICK_NONE;
  uint64_t least_sessions = 0, least_weight = 1;
  (void)lane, (void)prepared, (void)cookie;
  for (uint32_t i = 0; i < view->eligible_count; ++i) {
    const uint32_t index = view->eligible[i];
    const lemonade_backend_t* backend = lemonade_view_backend(view, index);
    const uint64_t active = lemonade_load_u32(&backend->stats->active);
    if (!lemonade_may_pick(connection, view, index)) continue;
    if (active < me->sessions * backend->weight) return index;
    /* active / weight < least_sessions / least_weight, without dividing */
    if (emptiest == LEMONADE_PICK_NONE || active * least_weight < least_sessions * backend->weight) {
      emptiest = index;
      least_sessions = active;
      least_weight = backend->weight;
    }
  }
  return emptiest;
}

/* The host leaves a slot that is NULL alone. */
static const lemonade_strategy_t table = {
    .struct_size = sizeof(lemonade_strategy_t), .create = create, .destroy = destroy, .pick = pick};

static const void* getInterface(lemonade_str_t id) {
  static const char wanted[] = LEMONADE_STRATEGY_INTERFACE;
  if (id.size != sizeof(wanted) - 1) return NULL;
  for (uint64_t i = 0; i < id.size; ++i)
    if (id.data[i] != wanted[i]) return NULL;
  return &table;
}

static const lemonade_option_t options[] = {
    {.key = LEMONADE_STR_INIT("sessions"),
     .type = LEMONADE_OPTION_INTEGER,
     .minimum = 1,
     .maximum = 1000000,
     .default_value = LEMONADE_STR_INIT("100"),
     .doc = LEMONADE_STR_INIT(
         "How many sessions a backend takes for each unit of its weight before the next one is used.")},
};

LEMONADE_EXPORT const lemonade_plugin_t lemonade_plugin_v1 = {
    .tag = {.magic = {'L', 'E', 'M', 'O', 'N', 'A', 'D', 'E'},
            .abi_major = LEMONADE_ABI_MAJOR,
            .abi_minor = LEMONADE_ABI_MINOR,
            .kinds = LEMONADE_KIND_STRATEGY,
            .flags = LEMONADE_FLAG_UNLOAD_SAFE,
            .layout_hash = LEMONADE_LAYOUT_HASH},
    .id = "com.example.fill_first",
    .version = "1.0.0",
    .struct_size = sizeof(lemonade_plugin_t),
    .option_count = sizeof(options) / sizeof(options[0]),
    .option_stride = sizeof(lemonade_option_t),
    .options = options,
    .name = LEMONADE_STR_INIT("Fill first"),
    .vendor = LEMONADE_STR_INIT("Example"),
    .license = LEMONADE_STR_INIT("MIT"),
    .doc = LEMONADE_STR_INIT("Fills one backend before it uses the next."),
    .get_interface = getInterface,
};
