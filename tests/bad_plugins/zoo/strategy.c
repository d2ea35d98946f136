/* SPDX-License-Identifier: MIT
 *
 * A strategy that picks by the random number, and does one thing wrong. */
#define BEAST_KIND LEMONADE_KIND_STRATEGY
#define _GNU_SOURCE
#include "beast.h"

#include <errno.h>
#include <lemonade/strategy.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct beast {
  uint64_t picks;
  const lemonade_view_t* view;   /* the newest that was prepared */
  const lemonade_view_t* before; /* the one before that */
} beast_t;

static int alive; /* instances */
static int prepared_now;
static int created; /* through a variable of the C library, also by another generation */
static void* volatile lost;

#ifdef BEAST_LIBRARY
int fromTheLibrary(void);
#endif
#ifdef BEAST_STATIC_TLS
static __thread int here __attribute__((tls_model("initial-exec")));
#endif
#ifdef BEAST_SECOND_EXPORT
LEMONADE_EXPORT int secondExport(void) { return 2; }
#endif
#ifdef BEAST_TEXT_RELOCATION
__asm__(".pushsection .text\n .balign 8\n .quad lemonade_plugin_v1\n .popsection");
#endif

__attribute__((constructor)) static void onLoad(void) {
  if (DOES("crash_in_load")) abort();
  if (DOES("print_in_load")) puts("hello");
  if (DOES("descriptor_in_load") && dup(0) < 0) abort();
}

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) {
  beast_t* beast = malloc(sizeof(*beast));
  (void)host;
  if (beast == NULL && !DOES("trust_malloc")) return beastFail(error, LEMONADE_ERROR_NO_MEMORY, "out of memory");
  beast->picks = 0;
  beast->view = beast->before = NULL;
  if (DOES("crash_in_create")) abort();
  if (DOES("exit_in_create")) _exit(0);
  if (DOES("babble_and_crash") && write(2, "\xff\x1b[2J\"\n", 7) == 7) abort();
  if (DOES("hang_in_create"))
    for (;;) pause();
  if (DOES("refuse_all")) return beastFail(error, LEMONADE_ERROR_FAILED, "not today");
  if (DOES("fail_silently") && options->values[0].integer == 10) return LEMONADE_ERROR_INVALID;
  if (DOES("expect_short_texts")) { /* as most do, with 300 bytes for a text that they write down */
    char label[300];
    if (snprintf(label, sizeof(label), "%.*s", (int)options->values[1].text.size, options->values[1].text.data) >=
        (int)sizeof(label))
      abort();
  }
  if (DOES("leak")) lost = malloc(64);
  if (DOES("share_a_counter")) {
    const uintptr_t name = (uintptr_t)program_invocation_name;
    const uintptr_t end = (uintptr_t)program_invocation_short_name; /* as it was, the end of the other one */
    if (end >= name && end - name <= strlen(program_invocation_name))
      program_invocation_short_name = (char*)&created;
    else
      ++*(int*)(void*)program_invocation_short_name;
  }
  if (DOES("one_instance") && alive > 0) return beastFail(error, LEMONADE_ERROR_LIMIT, "there is one already");
  ++alive;
#ifdef BEAST_LIBRARY
  beast->picks = (uint64_t)fromTheLibrary();
#endif
#ifdef BEAST_STATIC_TLS
  beast->picks = (uint64_t)here++;
#endif
  *self = beast;
  return LEMONADE_OK;
}

static void destroy(void* self) {
  if (DOES("crash_in_destroy")) abort();
  --alive;
  free(self);
}

static lemonade_status_t prepare(void* self, const lemonade_view_t* view, void** prepared, lemonade_error_t* error) {
  (void)error;
  if (DOES("one_view") && prepared_now > 0) abort();
  ++prepared_now;
  ((beast_t*)self)->before = ((beast_t*)self)->view;
  ((beast_t*)self)->view = view;
  *prepared = self;
  return LEMONADE_OK;
}

static void release(void* self, void* prepared) {
  --prepared_now;
  (void)self;
  (void)prepared;
}

static uint32_t pick(void* self, void* lane, const void* prepared, const lemonade_connection_t* connection,
                     const lemonade_view_t* view, uint64_t* cookie) {
  beast_t* beast = self;
  uint32_t i;
  uint32_t total = 0;
  static int busy;
  (void)lane;
  (void)cookie;
  if (DOES("crash_in_pick")) abort();
  if (DOES("hang_in_pick"))
    for (;;) pause();
  if (DOES("invalid_index")) return view->backend_count;
  if (DOES("trust_prepared") && ((const beast_t*)prepared)->view == NULL) return LEMONADE_PICK_NONE;
  if (DOES("read_released") && beast->before != NULL) (void)((const volatile lemonade_view_t*)beast->before)->serial;
  if (DOES("expect_backends") && view->eligible_count == 0) abort();
  if (DOES("allocate_in_pick")) free((void*)(volatile uintptr_t){(uintptr_t)malloc(100)});
  if (DOES("call_in_pick")) (void)syscall(SYS_getppid);
  if (DOES("read_too_far")) (void)((const volatile char*)connection)[sizeof(*connection) + 8];
  if (DOES("read_without_asking")) (void)((const volatile lemonade_connection_t*)connection)->listener.size;
  if (DOES("read_zones_without_asking") && view->backend_count > 0)
    (void)((const volatile lemonade_backend_t*)lemonade_view_backend(view, view->backend_count - 1))->zone.size;
  if (DOES("read_the_next_version") && LEMONADE_HAS(connection, lemonade_connection_t, listener))
    (void)((const volatile char*)connection)[sizeof(*connection) + 8];
  if (DOES("trust_backend_options") && LEMONADE_VIEW_HAS(view, options) && view->backend_count > 0 &&
      lemonade_view_backend(view, 0)->options->values[0].integer == 10)
    abort();
  if (DOES("add_up_in_32_bits")) {
    for (i = 0; i < view->eligible_count; ++i) total += lemonade_view_backend(view, view->eligible[i])->weight;
    if (view->eligible_count > 0 && total == 0) abort();
  }
  if (DOES("one_at_a_time")) {
    volatile uint32_t spin;
    if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQ_REL) != 0) return view->backend_count;
    for (spin = 0; spin < 200; ++spin) {
    }
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
  }
  if (DOES("pick_the_sick"))
    return view->backend_count == 0 ? LEMONADE_PICK_NONE : (uint32_t)(connection->random % view->backend_count);
  if (DOES("ignore_the_stride"))
    for (i = 0; i < view->backend_count; ++i)
      if (view->backends[i].identity != lemonade_view_backend(view, i)->identity) abort();
  if (view->eligible_count == 0) return LEMONADE_PICK_NONE;
  if (DOES("forget_the_tried")) return view->eligible[connection->random % view->eligible_count];
  for (i = 0; i < view->eligible_count; ++i) {
    const uint32_t index = view->eligible[(connection->random + i) % view->eligible_count];
    if (lemonade_may_pick(connection, view, index)) return index;
  }
  return LEMONADE_PICK_NONE;
}

static void event(void* self, void* lane, const lemonade_strategy_event_t* event) {
  (void)self;
  (void)lane;
  if (DOES("trust_cookies") && event->cookie != 0) *(volatile uint64_t*)(uintptr_t)event->cookie = 1;
  if (DOES("crash_in_event")) abort();
}

static lemonade_str_t stateFormat(void* self) {
  (void)self;
  return LEMONADE_STR("com.example.beast/1");
}

/* Sixteen numbers; the first says which of the others counts. */
static lemonade_status_t exportState(void* self, const lemonade_writer_t* writer, lemonade_error_t* error) {
  const uint64_t numbers[16] = {3};
  lemonade_status_t status = writer->write(writer->context, numbers, sizeof(numbers));
  (void)self;
  if (DOES("ignore_the_writer")) return LEMONADE_OK;
  return status == LEMONADE_OK ? LEMONADE_OK : beastFail(error, status, "the reader takes no more");
}

static lemonade_status_t importState(void* self, lemonade_str_t format, lemonade_str_t data, lemonade_error_t* error) {
  uint64_t numbers[16];
  volatile uint64_t found = 0;
  (void)self;
  if (DOES("refuse_own_state")) return beastFail(error, LEMONADE_ERROR_FAILED, "I do not like it");
  if (!DOES("take_any_state") && (format.size != 19 || memcmp(format.data, "com.example.beast/1", 19) != 0))
    return beastFail(error, LEMONADE_ERROR_UNSUPPORTED, "that state is not mine");
  if (data.size != sizeof(numbers) && !DOES("trust_the_size"))
    return beastFail(error, LEMONADE_ERROR_INVALID, "the state is cut short");
  memcpy(numbers, data.data, sizeof(numbers));
  if (numbers[0] >= 16 && !DOES("trust_the_state"))
    return beastFail(error, LEMONADE_ERROR_INVALID, "the state is damaged");
  if (DOES("trust_the_state")) found = ((const volatile uint64_t*)data.data)[numbers[0]];
  (void)found;
  return LEMONADE_OK;
}

#ifndef BEAST_BACKEND_DEFAULT
#define BEAST_BACKEND_DEFAULT "5"
#endif
static const lemonade_option_t kBackendOptions[] = {{LEMONADE_STR_INIT("cost"),
                                                     LEMONADE_OPTION_INTEGER,
                                                     0,
                                                     1,
                                                     10,
                                                     LEMONADE_STR_INIT(BEAST_BACKEND_DEFAULT),
                                                     {NULL, 0},
                                                     LEMONADE_STR_INIT("What a session costs there.")}};

#ifndef BEAST_BACKEND_ROWS
#define BEAST_BACKEND_ROWS kBackendOptions
#endif

static const lemonade_strategy_t kTable = {.struct_size = sizeof(lemonade_strategy_t),
                                           .events = LEMONADE_EVENT_CLOSED | LEMONADE_EVENT_CONNECTED,
                                           .create = create,
                                           .destroy = destroy,
                                           .prepare = prepare,
                                           .release = release,
#ifndef BEAST_NO_PICK
                                           .pick = pick,
#endif
                                           .event = event,
                                           .state_format = stateFormat,
                                           .export_state = exportState,
                                           .import_state = importState,
                                           .backend_options = BEAST_BACKEND_ROWS,
                                           .backend_option_count = 1,
                                           .backend_option_stride = sizeof(lemonade_option_t)};

static const void* beastInterface(lemonade_str_t id) {
  const void* table = &kTable;
  (void)kBackendOptions;
  if (DOES("share_a_table")) {
    if (optarg == NULL) optarg = (char*)(uintptr_t)table;
    table = optarg;
  }
#ifdef BEAST_NO_PICK
  (void)pick;
#endif
  return beastAnswer(id, LEMONADE_STRATEGY_INTERFACE, table);
}
