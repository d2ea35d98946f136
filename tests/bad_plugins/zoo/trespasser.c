/* SPDX-License-Identifier: MIT
 *
 * A strategy that picks by the random number, and changes what belongs to the process: when it is loaded, created,
 * called or destroyed. */
#define BEAST_KIND LEMONADE_KIND_STRATEGY
#define BEAST_ID "com.example.trespasser"
#define _GNU_SOURCE
#include "beast.h"

#include <fcntl.h>
#include <fenv.h>
#include <lemonade/strategy.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void onSignal(int number) { (void)number; }

/* It runs none of the plugin's own code, which may be unmapped before it begins. */
static void startThread(void) {
  typedef void* (*Routine)(void*);
  pthread_t thread;
  if (pthread_create(&thread, NULL, (Routine)(void (*)(void))pause, NULL) == 0) pthread_detach(thread);
}

static void closeMany(void) {
  int fd;
  for (fd = 3; fd < 64; ++fd) close(fd);
}

static void startChild(void) {
  if (fork() == 0)
    for (;;) pause();
}

static void lowerLimit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  --limit.rlim_cur;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/* Blocks a signal where it is not blocked, and the other way round. */
static void turnMask(void) {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  if (sigismember(&mask, SIGTERM))
    sigdelset(&mask, SIGTERM);
  else
    sigaddset(&mask, SIGTERM);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* As an object that is linked with -ffast-math does it. */
static void flushSmallNumbers(void) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | (UINT64_C(1) << 24)));
#endif
}

/* What it keeps of a thread, and what for. */
static pthread_key_t key;
static volatile int forgotten;
static void forget(void* value) {
  (void)value;
  ++forgotten;
}

__attribute__((constructor)) static void onLoad(void) {
  if (DOES("chdir_in_load") && chdir("/") != 0) abort();
  if (DOES("thread_in_load")) startThread();
  if (DOES("flush_in_load")) flushSmallNumbers();
}

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) {
  (void)host;
  (void)options;
  if (DOES("leave_a_thread") || DOES("leave_a_thread_mapped")) startThread();
  if (DOES("leave_a_child")) startChild();
  if (DOES("handler_in_create")) signal(SIGTERM, onSignal);
  if (DOES("ignore_in_create")) signal(SIGPIPE, SIG_IGN);
  if (DOES("locale_in_create")) setlocale(LC_ALL, "C.UTF-8");
  if (DOES("environment_in_create")) setenv("BEAST", "1", 1);
  if (DOES("umask_in_create")) umask(0777);
  if (DOES("limit_in_create")) lowerLimit();
  if (DOES("timer_in_create")) alarm(1000);
  if (DOES("traps_in_create")) feenableexcept(FE_OVERFLOW);
  if (DOES("close_in_create")) closeMany();
  if (DOES("key_with_destructor")) pthread_key_create(&key, forget);
  *self = malloc(1);
  return *self != NULL ? LEMONADE_OK : beastFail(error, LEMONADE_ERROR_NO_MEMORY, "out of memory");
}

static void destroy(void* self) {
  if (DOES("chdir_in_destroy") && chdir("/") != 0) abort();
  free(self);
}

static uint32_t pick(void* self, void* lane, const void* prepared, const lemonade_connection_t* connection,
                     const lemonade_view_t* view, uint64_t* cookie) {
  static int busy;
  uint32_t i;
  (void)lane;
  (void)prepared;
  (void)cookie;
  if (DOES("rounding_in_pick")) fesetround(FE_TOWARDZERO);
  if (DOES("mask_in_pick") && !busy) turnMask();
  busy = 1;
  if (DOES("close_in_pick")) closeMany();
  if (DOES("flags_in_pick")) fcntl(0, F_SETFL, O_NONBLOCK);
  if (DOES("key_with_destructor")) pthread_setspecific(key, self);
  for (i = 0; i < view->eligible_count; ++i) {
    const uint32_t index = view->eligible[(connection->random + i) % view->eligible_count];
    if (lemonade_may_pick(connection, view, index)) return index;
  }
  return LEMONADE_PICK_NONE;
}

static const lemonade_strategy_t kTable = {
    .struct_size = sizeof(lemonade_strategy_t), .create = create, .destroy = destroy, .pick = pick};

static const void* beastInterface(lemonade_str_t id) { return beastAnswer(id, LEMONADE_STRATEGY_INTERFACE, &kTable); }
