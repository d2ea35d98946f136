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
 *   - text is UTF-8, {pointer, length}, not terminated, and borrowed for the duration of the call unless said otherwise;
 *   - a struct that can grow starts with struct_size, set by whoever allocates it; arrays of such structs carry a
 *     stride; a field newer than 1.0 is read only after LEMONADE_HAS said that it is there;
 *   - no function may throw, exit, or raise a signal;
 *   - thread tags: [control] the host's one control thread; [worker] any worker thread, several at once; [probe] the
 *     thread that drives health probes, one call at a time for each probe; [sink] the thread that feeds sinks, one call
 *     at a time for each instance; [any] every thread. A plugin may start threads of its own; they call [any] only. */
#ifndef LEMONADE_PLUGIN_H
#define LEMONADE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define LEMONADE_NOEXCEPT noexcept
extern "C" {
#else
#define LEMONADE_NOEXCEPT
#endif

/* The version of this ABI. A plugin built with 1.x loads in every host 1.y where y >= its need_minor. */
#define LEMONADE_ABI_MAJOR 1
#define LEMONADE_ABI_MINOR 0

/* FNV-1a over every size and offset of the 1.0 structs on LP64. It differs only where a compiler lays structs out
 * differently; tests/abi/layout.cpp computes it anew and fails when this constant is stale. */
#define LEMONADE_LAYOUT_HASH UINT64_C(0x4c9e06286fd99575)

#define LEMONADE_MAGIC "LEMONADE"

/* True when the struct behind `pointer` is large enough to hold `field`; always ask before reading a field newer
 * than 1.0. */
#define LEMONADE_HAS(pointer, type, field) \
  ((pointer)->struct_size >= offsetof(type, field) + sizeof(((type*)0)->field))

/* Borrowed text or bytes. size counts bytes; data may be NULL only where size is 0. */
typedef struct lemonade_str {
  const char* data;
  uint64_t size;
} lemonade_str_t;

/* A lemonade_str_t of a string literal, usable as a constant initialiser. */
#define LEMONADE_STR(literal) \
  { (literal), sizeof(literal) - 1 }

/* What a function that can fail returns. Unknown values count as LEMONADE_ERROR_FAILED. */
typedef int32_t lemonade_status_t;
#define LEMONADE_OK 0
#define LEMONADE_ERROR_FAILED 1      /* it did not work; the message says why */
#define LEMONADE_ERROR_INVALID 2     /* an argument or an option has a wrong value; key names it */
#define LEMONADE_ERROR_UNSUPPORTED 3 /* this host or this plugin does not do that */
#define LEMONADE_ERROR_NO_MEMORY 4
#define LEMONADE_ERROR_RETIRED 5     /* the host handle was revoked: this generation has been replaced */
#define LEMONADE_ERROR_LIMIT 6       /* a bound of the host was reached */

/* Filled by the callee when it returns anything but LEMONADE_OK; owned by the caller, never NULL. Text is terminated
 * and cut to fit. */
typedef struct lemonade_error {
  uint32_t struct_size;
  int32_t code;      /* the status returned */
  char key[64];      /* the option concerned, or "" */
  char message[440]; /* one sentence: what is wrong, and the mend */
} lemonade_error_t;

/* ---- kinds and flags ------------------------------------------------------------------------------------------- */

/* One bit for each kind; a plugin may be several kinds at once. */
#define LEMONADE_KIND_STRATEGY UINT32_C(1)
#define LEMONADE_KIND_HEALTH_CHECKER UINT32_C(2)
#define LEMONADE_KIND_METRICS_SINK UINT32_C(4)

/* The image may be unmapped after its last instance is destroyed: it registers no exit handlers, no thread-local
 * destructors, and leaves no thread running. Without it the host keeps the image mapped until it exits. */
#define LEMONADE_FLAG_UNLOAD_SAFE UINT32_C(1)

/* ---- options --------------------------------------------------------------------------------------------------- */

#define LEMONADE_OPTION_BOOLEAN UINT32_C(1)
#define LEMONADE_OPTION_INTEGER UINT32_C(2)
#define LEMONADE_OPTION_NUMBER UINT32_C(3)
#define LEMONADE_OPTION_STRING UINT32_C(4)
#define LEMONADE_OPTION_DURATION UINT32_C(5) /* "10s", "500ms", or integer milliseconds; handed over in nanoseconds */
#define LEMONADE_OPTION_CHOICE UINT32_C(6)   /* a string that is one of `choices` */

#define LEMONADE_OPTION_REQUIRED UINT32_C(1) /* no default: the configuration must give it */
#define LEMONADE_OPTION_SECRET UINT32_C(2)   /* never shown in logs or by the admin listener */

/* One row of the option schema. The host reads the rows before it creates an instance: it refuses unknown keys and
 * wrong types, checks ranges and fills defaults, so the plugin sees only values that are in order. */
typedef struct lemonade_option {
  lemonade_str_t key;           /* snake_case, unique within the plugin */
  uint32_t type;                /* LEMONADE_OPTION_* type */
  uint32_t flags;               /* LEMONADE_OPTION_REQUIRED, LEMONADE_OPTION_SECRET */
  double minimum;               /* inclusive, of INTEGER, NUMBER and DURATION (there: milliseconds) */
  double maximum;               /* inclusive; minimum == maximum == 0 means no bound */
  lemonade_str_t default_value; /* written as in TOML, a string without its quotes */
  lemonade_str_t choices;       /* of CHOICE: comma separated, without spaces */
  lemonade_str_t doc;           /* one sentence for people */
} lemonade_option_t;

/* The value of one option, in the order of the schema rows. Which field holds it follows from the row's type. */
typedef struct lemonade_option_value {
  int64_t integer;     /* BOOLEAN (0 or 1), INTEGER, DURATION (nanoseconds) */
  double number;       /* NUMBER; of INTEGER and DURATION the same value again */
  lemonade_str_t text; /* STRING, CHOICE; valid until the call that received it returns */
} lemonade_option_value_t;

typedef struct lemonade_options {
  uint32_t struct_size;
  uint32_t count; /* equals the descriptor's option_count */
  const lemonade_option_value_t* values;
} lemonade_options_t;

/* ---- bytes written by a plugin --------------------------------------------------------------------------------- */

/* Where a plugin writes text or state. Owned by the host, valid during the call that received it.
 * write: takes size bytes; returns LEMONADE_OK, or anything else when the reader is gone or a limit is reached, and
 * then the plugin stops writing and returns that status. Same thread as the call. */
typedef struct lemonade_writer {
  uint32_t struct_size;
  uint32_t reserved;
  void* context; /* first argument of write */
  lemonade_status_t (*write)(void* context, const void* data, uint64_t size) LEMONADE_NOEXCEPT;
} lemonade_writer_t;

/* ---- the entry symbol ------------------------------------------------------------------------------------------ */

/* The pointer-free head of the entry symbol, read from the file before the file is loaded. Frozen for ever. */
typedef struct lemonade_plugin_tag {
  char magic[8];        /* LEMONADE_MAGIC, not terminated */
  uint16_t abi_major;   /* LEMONADE_ABI_MAJOR at build */
  uint16_t abi_minor;   /* LEMONADE_ABI_MINOR at build */
  uint16_t need_minor;  /* the oldest host minor that can run this plugin */
  uint16_t reserved0;   /* 0 */
  uint32_t kinds;       /* mask of LEMONADE_KIND_* */
  uint32_t flags;       /* mask of LEMONADE_FLAG_* */
  uint64_t layout_hash; /* LEMONADE_LAYOUT_HASH at build */
  uint8_t reserved[32]; /* 0 */
} lemonade_plugin_tag_t;

/* The entry symbol. Everything up to `version` is read from the file without running code; constant afterwards. */
typedef struct lemonade_plugin {
  lemonade_plugin_tag_t tag;
  char id[64];      /* terminated; [a-z0-9_.-]; short names are Lemonade's, yours is reverse-DNS: com.example.ewma */
  char version[32]; /* terminated; semantic version of the plugin */

  uint32_t struct_size;   /* sizeof(lemonade_plugin_t) at build */
  uint32_t option_count;  /* rows behind options */
  uint32_t option_stride; /* sizeof(lemonade_option_t) at build */
  uint32_t reserved;      /* 0 */
  const lemonade_option_t* options; /* the schema; NULL where option_count is 0 */
  lemonade_str_t name;    /* for people */
  lemonade_str_t vendor;
  lemonade_str_t license; /* SPDX expression */
  lemonade_str_t doc;     /* one paragraph for people */

  /* The function table of one kind, for example get_interface("lemonade.strategy/1").
   * Returns NULL where the plugin is not of that kind; must answer for every kind of tag.kinds.
   * The table lives as long as the image. Never forbidden. [any] */
  const void* (*get_interface)(lemonade_str_t id) LEMONADE_NOEXCEPT;
} lemonade_plugin_t;

/* How a C plugin defines its entry: LEMONADE_EXPORT const lemonade_plugin_t lemonade_plugin_v1 = {...}; (C++: use the
 * macros of sdk/, which also make a dynamic initialisation a compile error). */
#define LEMONADE_ENTRY_SYMBOL "lemonade_plugin_v1"
#define LEMONADE_EXPORT __attribute__((visibility("default"), used))

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
