/* SPDX-License-Identifier: MIT
 *
 * A strategy in C: turn by turn, with every function, event and service of the host that ABI 1.0 has. What it sees it
 * counts in metrics of its own, for the test to read. */
#include "entry.h"

#include <lemonade/strategy.h>

#include <stdlib.h>

#define FORMAT "com.example.frozen/1"
#define EVENTS                                                                                                  \
  (LEMONADE_EVENT_CONNECTED | LEMONADE_EVENT_CONNECT_FAILED | LEMONADE_EVENT_EXCHANGE | LEMONADE_EVENT_CLOSED | \
   LEMONADE_EVENT_ERROR | LEMONADE_EVENT_ABANDONED)

static const lemonade_option_t kRows[] = {
    {LEMONADE_STR("log"), LEMONADE_OPTION_BOOLEAN, 0, 0, 0, LEMONADE_STR("true"), {NULL, 0}, LEMONADE_STR("Logs.")},
    {LEMONADE_STR("step"), LEMONADE_OPTION_INTEGER, 0, 1, 10, LEMONADE_STR("1"), {NULL, 0}, LEMONADE_STR("Of a turn.")},
    {LEMONADE_STR("share"), LEMONADE_OPTION_NUMBER, 0, 0, 1, LEMONADE_STR("0.5"), {NULL, 0}, LEMONADE_STR("A share.")},
    {LEMONADE_STR("word"), LEMONADE_OPTION_STRING, 0, 0, 0, LEMONADE_STR("abc"), {NULL, 0}, LEMONADE_STR("A word.")},
    {LEMONADE_STR("beat"),
     LEMONADE_OPTION_DURATION,
     0,
     1,
     60000,
     LEMONADE_STR("20ms"),
     {NULL, 0},
     LEMONADE_STR("Beats.")},
    {LEMONADE_STR("way"), LEMONADE_OPTION_CHOICE, 0, 0, 0, LEMONADE_STR("up"), LEMONADE_STR("up,down"),
     LEMONADE_STR("Up.")},
};

typedef struct instance {
  const lemonade_host_t* host;
  uint64_t timer;
  uint64_t step;
  uint64_t turn; /* atomic */
  lemonade_metric_cell_t* beats;
  lemonade_metric_cell_t* posts;
  lemonade_metric_cell_t* picks;
  lemonade_metric_cell_t* connects;
  lemonade_metric_cell_t* exchanges;
  lemonade_metric_cell_t* closes;
  lemonade_metric_cell_t* failures;
  lemonade_metric_cell_t* abandons;
  lemonade_metric_cell_t* strangers; /* events that are not this instance's */
  lemonade_metric_cell_t* surprises; /* what must not be; stays 0 */
} instance_t;

typedef struct prepared {
  uint64_t serial;
  uint32_t count;
  uint32_t indices[]; /* the eligible ones */
} prepared_t;

typedef struct lane {
  uint32_t worker;
} lane_t;

static void onBeat(void* user) LEMONADE_NOEXCEPT { lemonade_metric_add(((instance_t*)user)->beats, 1); }
static void onPost(void* user) LEMONADE_NOEXCEPT { lemonade_metric_add(((instance_t*)user)->posts, 1); }

static int32_t optionsAreRight(const lemonade_options_t* options) {
  const lemonade_option_value_t* values = options->values;
  return options->count == 6 && (values[0].integer == 0 || values[0].integer == 1) &&
         values[1].number == (double)values[1].integer && values[2].number >= 0 && values[2].number <= 1 &&
         values[4].integer >= 1000000 && values[4].number == (double)values[4].integer &&
         (same(values[5].text, "up") || same(values[5].text, "down"));
}

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) LEMONADE_NOEXCEPT {
  instance_t* made;
  if (!optionsAreRight(options)) return fail(error, LEMONADE_ERROR_INVALID, "the options are not those of the schema");
  made = calloc(1, sizeof(*made));
  if (made == NULL) return fail(error, LEMONADE_ERROR_NO_MEMORY, "out of memory");
  made->host = host;
  made->step = (uint64_t)options->values[1].integer;
  made->beats = counter(host, "frozen_beats_total");
  made->posts = counter(host, "frozen_posts_total");
  made->picks = counter(host, "frozen_picks_total");
  made->connects = counter(host, "frozen_connects_total");
  made->exchanges = counter(host, "frozen_exchanges_total");
  made->closes = counter(host, "frozen_closes_total");
  made->failures = counter(host, "frozen_failures_total");
  made->abandons = counter(host, "frozen_abandons_total");
  made->strangers = counter(host, "frozen_strangers_total");
  made->surprises = counter(host, "frozen_surprises_total");
  if (host->timer_start(host->context, (uint64_t)options->values[4].integer, onBeat, made, &made->timer) !=
          LEMONADE_OK ||
      host->post(host->context, onPost, made) != LEMONADE_OK) {
    free(made);
    return fail(error, LEMONADE_ERROR_LIMIT, "the host gave no timer");
  }
  if (host->struct_size < sizeof(*host) || host->now_ns(host->context) == 0 ||
      host->get_extension(host->context, text("com.example.none/1")) != NULL)
    lemonade_metric_add(made->surprises, 1);
  if (options->values[0].integer) host->log(host->context, LEMONADE_LOG_INFO, text("a strategy of ABI 1.0 is here"));
  *self = made;
  return LEMONADE_OK;
}

static void destroy(void* self) LEMONADE_NOEXCEPT {
  instance_t* one = self;
  one->host->timer_cancel(one->host->context, one->timer); /* revoked by now: does nothing */
  free(one);
}

static lemonade_status_t laneCreate(void* self, uint32_t worker, void** lane,
                                    lemonade_error_t* error) LEMONADE_NOEXCEPT {
  lane_t* made = malloc(sizeof(*made));
  (void)self;
  if (made == NULL) return fail(error, LEMONADE_ERROR_NO_MEMORY, "out of memory");
  made->worker = worker;
  *lane = made;
  return LEMONADE_OK;
}

static void laneDestroy(void* self, void* lane) LEMONADE_NOEXCEPT {
  (void)self;
  free(lane);
}

static lemonade_status_t prepare(void* self, const lemonade_view_t* view, void** out,
                                 lemonade_error_t* error) LEMONADE_NOEXCEPT {
  prepared_t* made = malloc(sizeof(*made) + view->eligible_count * sizeof(uint32_t));
  uint32_t i;
  if (made == NULL) return fail(error, LEMONADE_ERROR_NO_MEMORY, "out of memory");
  made->serial = view->serial;
  made->count = view->eligible_count;
  for (i = 0; i < view->eligible_count; ++i) {
    const lemonade_backend_t* backend = lemonade_view_backend(view, view->eligible[i]);
    made->indices[i] = view->eligible[i];
    if ((backend->flags & LEMONADE_BACKEND_ELIGIBLE) == 0 || backend->weight == 0 || backend->effective_weight == 0 ||
        backend->id.size == 0 || backend->address.size == 0 || backend->identity == 0)
      lemonade_metric_add(((instance_t*)self)->surprises, 1);
  }
  *out = made;
  return LEMONADE_OK;
}

static void release(void* self, void* prepared) LEMONADE_NOEXCEPT {
  (void)self;
  free(prepared);
}

/* Whether a backend looks as the ABI says. */
static int32_t soundStats(const lemonade_backend_stats_t* stats, uint64_t now_ns) {
  const double connect_ns = lemonade_load_f64(&stats->connect_ewma_ns);
  const float error_rate = lemonade_load_f32(&stats->error_rate);
  (void)lemonade_load_u64(&stats->sampled_at_ns);
  (void)lemonade_mean_wait_ns(stats, now_ns);
  return connect_ns >= 0 && error_rate >= 0 && error_rate <= 1 && lemonade_load_u32(&stats->active) < 1000000;
}

static uint32_t pick(void* self, void* lane, const void* prepared, const lemonade_connection_t* connection,
                     const lemonade_view_t* view, uint64_t* cookie) LEMONADE_NOEXCEPT {
  instance_t* one = self;
  const prepared_t* made = prepared;
  const uint32_t* indices = made != NULL ? made->indices : view->eligible;
  const uint32_t count = made != NULL ? made->count : view->eligible_count;
  const uint64_t turn = __atomic_fetch_add(&one->turn, one->step, __ATOMIC_RELAXED);
  uint32_t i;
  if (((lane_t*)lane)->worker != connection->worker || *cookie != 0 || (made != NULL && made->serial != view->serial))
    lemonade_metric_add(one->surprises, 1);
  for (i = 0; i < count; ++i) {
    const uint32_t index = indices[(turn + i) % count];
    const lemonade_backend_t* backend = lemonade_view_backend(view, index);
    if (!lemonade_may_pick(connection, view, index)) continue;
    if (!soundStats(backend->stats, connection->now_ns)) lemonade_metric_add(one->surprises, 1);
    lemonade_metric_add(one->picks, 1);
    *cookie = ~backend->identity;
    return index;
  }
  return LEMONADE_PICK_NONE;
}

static void onEvent(void* self, void* lane, const lemonade_strategy_event_t* event) LEMONADE_NOEXCEPT {
  instance_t* one = self;
  (void)lane;
  if (event->foreign) {
    lemonade_metric_add(one->strangers, 1);
    return;
  }
  if (event->cookie != ~event->backend_identity || event->now_ns == 0) lemonade_metric_add(one->surprises, 1);
  switch (event->type) {
    case LEMONADE_EVENT_CONNECTED:
      lemonade_metric_add(one->connects, 1);
      break;
    case LEMONADE_EVENT_EXCHANGE:
      lemonade_metric_add(one->exchanges, 1);
      break;
    case LEMONADE_EVENT_CLOSED:
      lemonade_metric_add(one->closes, 1);
      if (event->value_ns == 0) lemonade_metric_add(one->surprises, 1);
      break;
    case LEMONADE_EVENT_CONNECT_FAILED:
    case LEMONADE_EVENT_ERROR:
      lemonade_metric_add(one->failures, 1);
      break;
    case LEMONADE_EVENT_ABANDONED:
      lemonade_metric_add(one->abandons, 1);
      break;
    default: /* newer than this */
      break;
  }
}

static lemonade_str_t stateFormat(void* self) LEMONADE_NOEXCEPT {
  (void)self;
  return text(FORMAT);
}

static lemonade_status_t exportState(void* self, const lemonade_writer_t* writer,
                                     lemonade_error_t* error) LEMONADE_NOEXCEPT {
  const uint64_t turn = __atomic_load_n(&((instance_t*)self)->turn, __ATOMIC_RELAXED);
  const lemonade_status_t status = writer->write(writer->context, &turn, sizeof(turn));
  return status == LEMONADE_OK ? LEMONADE_OK : fail(error, status, "nobody takes the state");
}

static lemonade_status_t importState(void* self, lemonade_str_t format, lemonade_str_t data,
                                     lemonade_error_t* error) LEMONADE_NOEXCEPT {
  if (!same(format, FORMAT)) return fail(error, LEMONADE_ERROR_UNSUPPORTED, "knows " FORMAT " only");
  if (data.size != sizeof(uint64_t)) return fail(error, LEMONADE_ERROR_FAILED, "the state has another size");
  memcpy(&((instance_t*)self)->turn, data.data, sizeof(uint64_t));
  return LEMONADE_OK;
}

static const lemonade_strategy_t kTable = {
    sizeof(kTable), EVENTS, create,  destroy,     laneCreate,  laneDestroy, prepare,
    release,        pick,   onEvent, stateFormat, exportState, importState,
};

static const void* interfaceOf(lemonade_str_t id) { return same(id, LEMONADE_STRATEGY_INTERFACE) ? &kTable : NULL; }

ENTRY(LEMONADE_KIND_STRATEGY, "com.example.frozen", kRows)
