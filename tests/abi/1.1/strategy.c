/* SPDX-License-Identifier: MIT
 *
 * A strategy in C that uses what ABI 1.1 added for strategies: the listener and the address that a client came to, the
 * pool, zones, labels and options of backends. Where the host is of 1.0 it goes without. It counts as a "surprise" what
 * 1.1 rules out.
 *
 * A client goes to the backend whose label `listener` names its listener, else to the cheapest in its zone, else to the
 * cheapest; `cost` is an option of backends. */
#include <lemonade/strategy.h>

#include <stdlib.h>
#include <string.h>

static const lemonade_str_t kListener = LEMONADE_STR("listener");

typedef struct instance {
  const lemonade_host_t* host;
  lemonade_metric_cell_t* picks;
  lemonade_metric_cell_t* by_label;
  lemonade_metric_cell_t* near;
  lemonade_metric_cell_t* local; /* picks that were told the address that the client came to */
  lemonade_metric_cell_t* surprises;
} instance_t;

/* What is worked out of a view: for each eligible backend its cost and whether it is near. */
typedef struct choice {
  uint32_t index;
  int32_t near;
  double cost;
  lemonade_str_t listener; /* borrowed of the view, which outlives this */
} choice_t;

typedef struct prepared {
  uint32_t count;
  choice_t choices[];
} prepared_t;

static const lemonade_option_t kBackendRows[] = {
    {LEMONADE_STR("cost"),
     LEMONADE_OPTION_NUMBER,
     0,
     0,
     100,
     LEMONADE_STR("1"),
     {NULL, 0},
     LEMONADE_STR("What a session costs there.")},
    {LEMONADE_STR("spare"),
     LEMONADE_OPTION_BOOLEAN,
     0,
     0,
     0,
     LEMONADE_STR("false"),
     {NULL, 0},
     LEMONADE_STR("Whether it is used only where no other is left.")},
};

static lemonade_metric_cell_t* counter(const lemonade_host_t* host, lemonade_str_t name) {
  lemonade_metric_cell_t* cell = NULL;
  const lemonade_str_t help = LEMONADE_STR("Counted by a plugin of ABI 1.1.");
  (void)host->register_metric(host->context, LEMONADE_METRIC_COUNTER, name, help, &cell);
  return cell;
}

static lemonade_status_t outOfMemory(lemonade_error_t* error) {
  static const char message[] = "out of memory";
  error->key[0] = '\0';
  memcpy(error->message, message, sizeof(message));
  return error->code = LEMONADE_ERROR_NO_MEMORY;
}

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) LEMONADE_NOEXCEPT {
  const lemonade_str_t names[] = {LEMONADE_STR("frozen_1_1_picks_total"), LEMONADE_STR("frozen_1_1_by_label_total"),
                                  LEMONADE_STR("frozen_1_1_near_total"), LEMONADE_STR("frozen_1_1_local_total"),
                                  LEMONADE_STR("frozen_1_1_surprises_total")};
  instance_t* made = malloc(sizeof(*made));
  if (made == NULL) return outOfMemory(error);
  made->host = host;
  made->picks = counter(host, names[0]);
  made->by_label = counter(host, names[1]);
  made->near = counter(host, names[2]);
  made->local = counter(host, names[3]);
  made->surprises = counter(host, names[4]);
  if (options->count != 0) lemonade_metric_add(made->surprises, 1);
  *self = made;
  return LEMONADE_OK;
}

static void destroy(void* self) LEMONADE_NOEXCEPT { free(self); }

/* The cost of a backend; more where it is spare. 1.1 promises a value for each row of each backend. */
static double costOf(instance_t* one, const lemonade_view_t* view, uint32_t index) {
  const lemonade_options_t* options;
  if (!LEMONADE_VIEW_HAS(view, options)) return 1;
  options = lemonade_view_backend(view, index)->options;
  if (options == NULL || options->count != 2 || options->values[0].number < 0 || options->values[0].number > 100) {
    lemonade_metric_add(one->surprises, 1);
    return 1;
  }
  return options->values[0].number + (options->values[1].integer != 0 ? 1000 : 0);
}

/* Labels are in ascending order of their names, each with a name. */
static void checkLabels(instance_t* one, const lemonade_view_t* view, uint32_t index) {
  const lemonade_backend_t* backend = lemonade_view_backend(view, index);
  uint32_t i;
  if (!LEMONADE_VIEW_HAS(view, label_count)) return;
  if ((backend->label_count == 0) != (backend->labels == NULL)) lemonade_metric_add(one->surprises, 1);
  for (i = 0; i < backend->label_count; ++i) {
    const lemonade_str_t name = backend->labels[i].name;
    const uint64_t before_size = i == 0 ? 0 : backend->labels[i - 1].name.size;
    const uint64_t shorter = before_size < name.size ? before_size : name.size;
    const int32_t order = i == 0 || shorter == 0 ? -1 : memcmp(backend->labels[i - 1].name.data, name.data, shorter);
    if (name.size == 0 || order > 0 || (order == 0 && before_size >= name.size)) lemonade_metric_add(one->surprises, 1);
  }
}

static lemonade_status_t prepare(void* self, const lemonade_view_t* view, void** out,
                                 lemonade_error_t* error) LEMONADE_NOEXCEPT {
  instance_t* one = self;
  prepared_t* made = malloc(sizeof(*made) + view->eligible_count * sizeof(choice_t));
  uint32_t i;
  if (made == NULL) return outOfMemory(error);
  made->count = view->eligible_count;
  if (LEMONADE_HAS(view, lemonade_view_t, pool) && view->pool.size == 0) lemonade_metric_add(one->surprises, 1);
  for (i = 0; i < view->eligible_count; ++i) {
    choice_t* choice = &made->choices[i];
    choice->index = view->eligible[i];
    choice->near = lemonade_backend_is_near(view, choice->index);
    choice->cost = costOf(one, view, choice->index);
    choice->listener = lemonade_backend_label(view, choice->index, kListener);
    checkLabels(one, view, choice->index);
  }
  *out = made;
  return LEMONADE_OK;
}

static void release(void* self, void* prepared) LEMONADE_NOEXCEPT {
  (void)self;
  free(prepared);
}

/* Whether the connection says where its client came to. */
static int32_t knowsLocalAddress(instance_t* one, const lemonade_connection_t* connection) {
  uint32_t i, sum = 0;
  if (!LEMONADE_HAS(connection, lemonade_connection_t, local_family) || connection->local_family == 0) return 0;
  for (i = 0; i < sizeof(connection->local_address); ++i) sum += connection->local_address[i];
  if ((sum == 0) != (connection->local_family == LEMONADE_FAMILY_UNIX)) lemonade_metric_add(one->surprises, 1);
  return 1;
}

static uint32_t pick(void* self, void* lane, const void* prepared, const lemonade_connection_t* connection,
                     const lemonade_view_t* view, uint64_t* cookie) LEMONADE_NOEXCEPT {
  const lemonade_str_t none = {NULL, 0};
  const lemonade_str_t listener =
      LEMONADE_HAS(connection, lemonade_connection_t, listener) ? connection->listener : none;
  instance_t* one = self;
  const prepared_t* made = prepared;
  const choice_t* best = NULL;
  int32_t best_is_meant = 0;
  uint32_t i;
  (void)lane;
  (void)cookie;
  if (made == NULL) return LEMONADE_PICK_NONE;
  for (i = 0; i < made->count; ++i) {
    const choice_t* choice = &made->choices[i];
    const int32_t meant = listener.size != 0 && lemonade_str_equal(choice->listener, listener);
    if (!lemonade_may_pick(connection, view, choice->index)) continue;
    if (best == NULL || meant > best_is_meant ||
        (meant == best_is_meant &&
         (choice->near > best->near || (choice->near == best->near && choice->cost < best->cost)))) {
      best = choice;
      best_is_meant = meant;
    }
  }
  if (best == NULL) return LEMONADE_PICK_NONE;
  lemonade_metric_add(one->picks, 1);
  if (best_is_meant) lemonade_metric_add(one->by_label, 1);
  if (best->near) lemonade_metric_add(one->near, 1);
  if (knowsLocalAddress(one, connection)) lemonade_metric_add(one->local, 1);
  return best->index;
}

static const lemonade_strategy_t kTable = {
    .struct_size = sizeof(lemonade_strategy_t),
    .create = create,
    .destroy = destroy,
    .prepare = prepare,
    .release = release,
    .pick = pick,
    .backend_options = kBackendRows,
    .backend_option_count = sizeof(kBackendRows) / sizeof(kBackendRows[0]),
    .backend_option_stride = sizeof(lemonade_option_t),
    .needs = LEMONADE_NEED_LOCAL_ADDRESS,
};

static const void* interfaceOf(lemonade_str_t id) LEMONADE_NOEXCEPT {
  const lemonade_str_t wanted = LEMONADE_STR(LEMONADE_STRATEGY_INTERFACE);
  return lemonade_str_equal(id, wanted) ? &kTable : NULL;
}

LEMONADE_EXPORT const lemonade_plugin_t lemonade_plugin_v1 = {
    .tag = {.magic = {'L', 'E', 'M', 'O', 'N', 'A', 'D', 'E'},
            .abi_major = LEMONADE_ABI_MAJOR,
            .abi_minor = LEMONADE_ABI_MINOR,
            .kinds = LEMONADE_KIND_STRATEGY,
            .flags = LEMONADE_FLAG_UNLOAD_SAFE,
            .layout_hash = LEMONADE_LAYOUT_HASH},
    .id = "com.example.frozen_1_1",
    .version = "1.1.0",
    .struct_size = sizeof(lemonade_plugin_t),
    .option_stride = sizeof(lemonade_option_t),
    .name = LEMONADE_STR("Frozen 1.1"),
    .vendor = LEMONADE_STR("Example"),
    .license = LEMONADE_STR("MIT"),
    .doc = LEMONADE_STR("Uses all that ABI 1.1 added for strategies."),
    .get_interface = interfaceOf,
};
