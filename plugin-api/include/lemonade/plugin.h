/* SPDX-License-Identifier: MIT
 *
 * The plugin ABI, part one: the entry symbol, its tag, the descriptor, options and errors.
 *
 * A plugin is a shared object that exports exactly one symbol, the constant `lemonade_plugin_v1`, and imports nothing
 * from the host: every service arrives in a table (host.h). The symbol begins with bytes that hold no pointer, so the
 * host decides from the file, before any of the plugin's code runs, whether it can load it and what its id is.
 *
 * Rules that hold everywhere in the ABI:
 *   - integers of fixed width, double, pointers and lemonade_str_t; nothing else crosses the boundary;
 *   - text is UTF-8, {pointer, length}, not terminated, and borrowed for the duration of the call unless said
 *     otherwise;
 *   - a struct that can grow has a struct_size, set by whoever allocates it, or lies in an array with a stride; it
 *     grows at its end only. A field newer than 1.0 is read only after LEMONADE_HAS, or a look at the stride, has said
 *     that it is there. What has neither never grows;
 *   - a number that names one of several things (a type, a state, a bit of a mask) may be newer than this header: what
 *     you do not know, ignore. What is reserved is written 0 and not read;
 *   - a pointer is never NULL unless its documentation says when; an array of no elements may be;
 *   - no function may throw, exit, raise a signal, or change what belongs to the process (signal handlers, locale,
 *     environment, working directory);
 *   - thread tags: [control] the host's one control thread, which must not be blocked; [worker] any worker thread,
 *     several at once; [probe] the thread that drives health probes, one call at a time for each probe; [sink] the
 *     thread that feeds sinks, one call at a time for each instance; [any] every thread, several at once. A plugin may
 *     start threads of its own; they call what is tagged [any]. */
#ifndef LEMONADE_PLUGIN_H
#define LEMONADE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* noexcept in C++, nothing in C: no exception may cross the boundary. */
#ifdef __cplusplus
#define LEMONADE_NOEXCEPT noexcept
extern "C" {
#else
#define LEMONADE_NOEXCEPT
#endif

/* The version of this ABI. A plugin built with 1.x loads in every host 1.y where y >= its need_minor. */
#define LEMONADE_ABI_MAJOR 1 /* another one is another ABI: neither loads the other's plugins */
#define LEMONADE_ABI_MINOR 2 /* counts what was appended */

/* FNV-1a over every size and offset of the 1.0 structs on LP64, for ever: what later minors append is not in it. It
 * differs only where a compiler lays structs out differently. */
#define LEMONADE_LAYOUT_HASH UINT64_C(0x4c9e06286fd99575)

/* The first bytes of the entry symbol. */
#define LEMONADE_MAGIC "LEMONADE"

/* The bytes of a struct up to and with `field`. An element of an array has a field newer than 1.0 where the stride is
 * no less. */
#define LEMONADE_SIZE_TO(type, field) (offsetof(type, field) + sizeof(((type*)0)->field))

/* True when the struct behind `pointer`, which has a struct_size, is large enough to hold `field`; always ask before
 * reading a field newer than 1.0. */
#define LEMONADE_HAS(pointer, type, field) ((pointer)->struct_size >= LEMONADE_SIZE_TO(type, field))

/* Borrowed text or bytes. Never grows. */
typedef struct lemonade_str {
  const char* data; /* not terminated; NULL only where size is 0 */
  uint64_t size;    /* in bytes */
} lemonade_str_t;

/* A lemonade_str_t of a string literal, as a constant initialiser. */
#define LEMONADE_STR_INIT(literal) \
  { (literal), sizeof(literal) - 1 }

/* The same as an argument of a function, too. In C it also initialises what is static, but gcc -Wpedantic wants
 * LEMONADE_STR_INIT there. */
#ifdef __cplusplus
#define LEMONADE_STR(literal) LEMONADE_STR_INIT(literal)
#else
#define LEMONADE_STR(literal) (__extension__(lemonade_str_t) LEMONADE_STR_INIT(literal))
#endif

/* A name with a value: of a series of metrics, of a backend. Owned as what it labels. Never grows. */
typedef struct lemonade_label {
  lemonade_str_t name;  /* of a series [a-z][a-z0-9_]*; of a backend as configured */
  lemonade_str_t value; /* any UTF-8 */
} lemonade_label_t;

/* What a function that can fail returns. Unknown values count as LEMONADE_ERROR_FAILED. */
typedef int32_t lemonade_status_t;
#define LEMONADE_OK 0                /* it did what was asked */
#define LEMONADE_ERROR_FAILED 1      /* it did not work; the message says why */
#define LEMONADE_ERROR_INVALID 2     /* an argument or an option has a wrong value; key names it */
#define LEMONADE_ERROR_UNSUPPORTED 3 /* this host or this plugin does not do that */
#define LEMONADE_ERROR_NO_MEMORY 4   /* an allocation failed */
#define LEMONADE_ERROR_RETIRED 5     /* the host handle was revoked: this generation has been replaced */
#define LEMONADE_ERROR_LIMIT 6       /* a bound of the host was reached */

/* Why a function failed: filled by the callee when it returns anything but LEMONADE_OK, and read only then. Owned by
 * the caller, never NULL, zeroed before the call. Text is terminated and cut to fit. */
typedef struct lemonade_error {
  uint32_t struct_size;
  int32_t code;      /* the lemonade_status_t returned */
  char key[64];      /* the option concerned, or "" */
  char message[440]; /* one sentence: what is wrong, and the mend */
} lemonade_error_t;

/* 1 where two texts are the same, byte by byte. [any] */
static inline int32_t lemonade_str_equal(lemonade_str_t a, lemonade_str_t b) {
  uint64_t i;
  if (a.size != b.size) return 0;
  for (i = 0; i < a.size; ++i)
    if (a.data[i] != b.data[i]) return 0;
  return 1;
}

/* ---- kinds and flags ------------------------------------------------------------------------------------------- */

/* One bit for each kind; a plugin may be several kinds at once. Each kind has instances of its own, and all of them the
 * one option schema. */
#define LEMONADE_KIND_STRATEGY UINT32_C(1)       /* lemonade/strategy.h */
#define LEMONADE_KIND_HEALTH_CHECKER UINT32_C(2) /* lemonade/health_checker.h */
#define LEMONADE_KIND_METRICS_SINK UINT32_C(4)   /* lemonade/metrics_sink.h */

/* A flag of the tag: the image may be unmapped after its last instance is destroyed, because it registers no exit
 * handlers, no thread-local destructors, and leaves no thread running. Without it the host keeps the image mapped until
 * it exits. */
#define LEMONADE_FLAG_UNLOAD_SAFE UINT32_C(1)

/* ---- options --------------------------------------------------------------------------------------------------- */

/* The type of an option. */
#define LEMONADE_OPTION_BOOLEAN UINT32_C(1)  /* true or false */
#define LEMONADE_OPTION_INTEGER UINT32_C(2)  /* 64 bits, signed */
#define LEMONADE_OPTION_NUMBER UINT32_C(3)   /* a finite double; integers are taken, too */
#define LEMONADE_OPTION_STRING UINT32_C(4)   /* any UTF-8 */
#define LEMONADE_OPTION_DURATION UINT32_C(5) /* "10s", "500ms", or integer milliseconds; handed over in nanoseconds */
#define LEMONADE_OPTION_CHOICE UINT32_C(6)   /* a string that is one of `choices` */

/* Flags of an option. */
#define LEMONADE_OPTION_REQUIRED UINT32_C(1) /* no default: the configuration must give it */
#define LEMONADE_OPTION_SECRET UINT32_C(2)   /* never shown in logs or by the admin listener */

/* One row of the option schema, constant and the plugin's. The host reads the rows before it creates an instance: it
 * refuses unknown keys and wrong types, checks ranges and fills defaults, so the plugin sees only values that are in
 * order. Grows by the descriptor's option_stride. */
typedef struct lemonade_option {
  lemonade_str_t key;           /* snake_case, unique within the plugin */
  uint32_t type;                /* LEMONADE_OPTION_BOOLEAN to LEMONADE_OPTION_CHOICE */
  uint32_t flags;               /* mask of LEMONADE_OPTION_REQUIRED and LEMONADE_OPTION_SECRET */
  double minimum;               /* inclusive, of INTEGER, NUMBER and DURATION (there: milliseconds) */
  double maximum;               /* inclusive; minimum == maximum == 0 means no bound */
  lemonade_str_t default_value; /* written as in TOML, a string without its quotes; not read where REQUIRED */
  lemonade_str_t choices;       /* of CHOICE: comma separated, without spaces */
  lemonade_str_t doc;           /* one sentence for people */
} lemonade_option_t;

/* The value of one option, owned as its lemonade_options_t. Which field holds it follows from the type of its row.
 * Never grows. */
typedef struct lemonade_option_value {
  int64_t integer;     /* BOOLEAN (0 or 1), INTEGER, DURATION (nanoseconds) */
  double number;       /* NUMBER; of INTEGER and DURATION the same value again */
  lemonade_str_t text; /* STRING, CHOICE */
} lemonade_option_value_t;

/* The values of all options. Owned by the host; it and all that it points to are valid during the call that received
 * it, and those of a backend as long as its view. */
typedef struct lemonade_options {
  uint32_t struct_size;
  uint32_t count; /* equals the descriptor's option_count; of a backend the strategy's backend_option_count */
  const lemonade_option_value_t* values; /* in the order of the schema rows; NULL where count is 0 */
} lemonade_options_t;

/* ---- bytes written by a plugin --------------------------------------------------------------------------------- */

/* Where a plugin writes text or state. Owned by the host, valid during the call that received it. */
typedef struct lemonade_writer {
  uint32_t struct_size;
  uint32_t reserved;
  void* context; /* first argument of write */

  /* Takes the next size bytes.
   * Anything but LEMONADE_OK: the reader is gone or a limit is reached; the plugin stops writing and returns that
   * status.
   * The bytes are copied; data may be NULL where size is 0. Forbidden: on another thread than that of the call which
   * received the writer, and after it. [any] */
  lemonade_status_t (*write)(void* context, const void* data, uint64_t size) LEMONADE_NOEXCEPT;
} lemonade_writer_t;

/* ---- the entry symbol ------------------------------------------------------------------------------------------ */

/* The pointer-free head of the entry symbol and part of it, read from the file before the file is loaded. Never grows:
 * what is new in it takes reserved bytes. */
typedef struct lemonade_plugin_tag {
  char magic[8];       /* LEMONADE_MAGIC, not terminated */
  uint16_t abi_major;  /* LEMONADE_ABI_MAJOR at build */
  uint16_t abi_minor;  /* LEMONADE_ABI_MINOR at build */
  uint16_t need_minor; /* the oldest host minor that can run this plugin; 0 where it asks LEMONADE_HAS */
  uint16_t reserved0;
  uint32_t kinds;       /* mask of LEMONADE_KIND_* */
  uint32_t flags;       /* mask of LEMONADE_FLAG_* */
  uint64_t layout_hash; /* LEMONADE_LAYOUT_HASH at build */
  uint8_t reserved[32];
} lemonade_plugin_tag_t;

/* The entry symbol, the descriptor of the plugin. Everything up to `version` is read from the file without running
 * code. Constant, the plugin's, and there as long as its image; so are the texts and rows that it points to. */
typedef struct lemonade_plugin {
  lemonade_plugin_tag_t tag; /* what is decided by before the file is loaded */
  char id[64];      /* terminated; [a-z0-9_.-]; short names are Lemonade's, yours is reverse-DNS: com.example.ewma */
  char version[32]; /* terminated; semantic version of the plugin */

  uint32_t struct_size;   /* sizeof(lemonade_plugin_t) at build */
  uint32_t option_count;  /* rows behind options */
  uint32_t option_stride; /* sizeof(lemonade_option_t) at build */
  uint32_t reserved;
  const lemonade_option_t* options; /* the schema; NULL where option_count is 0 */
  lemonade_str_t name;              /* for people */
  lemonade_str_t vendor;            /* who made it */
  lemonade_str_t license;           /* SPDX expression */
  lemonade_str_t doc;               /* one paragraph for people */

  /* Gives the function table of one kind, for example get_interface("lemonade.strategy/1").
   * Returns NULL where the plugin has no interface of that id; must answer for every kind of tag.kinds.
   * The table is the plugin's, constant, and there as long as the image. id is valid during the call. Never forbidden.
   * [any] */
  const void* (*get_interface)(lemonade_str_t id)LEMONADE_NOEXCEPT;
} lemonade_plugin_t;

/* The name of the entry symbol. */
#define LEMONADE_ENTRY_SYMBOL "lemonade_plugin_v1"

/* How a C plugin defines its entry: LEMONADE_EXPORT const lemonade_plugin_t lemonade_plugin_v1 = {...}; (C++: use the
 * macros of sdk/, which also make a dynamic initialisation a compile error). */
#define LEMONADE_EXPORT __attribute__((visibility("default"), used))

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
