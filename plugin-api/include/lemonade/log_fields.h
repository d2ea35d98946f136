/* SPDX-License-Identifier: MIT
 *
 * An extension of the host: lines of the log with fields, which JSON logs show as members and numbers as numbers. A
 * host that has it gives a lemonade_log_fields_t for LEMONADE_LOG_FIELDS_EXTENSION through
 * lemonade_host_t.get_extension; with one that has not, a plugin puts the same into the text of lemonade_host_t.log. */
#ifndef LEMONADE_LOG_FIELDS_H
#define LEMONADE_LOG_FIELDS_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The id of the extension. */
#define LEMONADE_LOG_FIELDS_EXTENSION "lemonade.log_fields/1"

/* What a field holds. */
#define LEMONADE_FIELD_TEXT UINT32_C(1)    /* text */
#define LEMONADE_FIELD_INTEGER UINT32_C(2) /* integer */
#define LEMONADE_FIELD_NUMBER UINT32_C(3)  /* number */
#define LEMONADE_FIELD_BOOLEAN UINT32_C(4) /* integer, 0 or 1 */

/* One name=value of a line. Owned by the plugin, borrowed by the host during the call. */
typedef struct lemonade_log_field {
  lemonade_str_t name; /* snake_case */
  lemonade_str_t text; /* of TEXT */
  int64_t integer;     /* of INTEGER and BOOLEAN */
  double number;       /* of NUMBER */
  uint32_t type;       /* LEMONADE_FIELD_*; a field of a type that the host does not know is left out */
  uint32_t places;     /* of NUMBER: digits after the point */
} lemonade_log_field_t;

/* The extension. Owned by the host, constant, readable until the process ends. */
typedef struct lemonade_log_fields {
  uint32_t struct_size;
  uint32_t reserved;

  /* Writes one line to the host's log under the plugin's id, as lemonade_host_t.log does: "message name=value ...", or
   * one JSON object. context is lemonade_host_t.context; level is LEMONADE_LOG_*; message may be empty; the fields are
   * field_stride bytes apart.
   * Everything is copied. Forbidden: in pick and event of a strategy. [any] */
  void (*write)(void* context, uint32_t level, lemonade_str_t message, const lemonade_log_field_t* fields,
                uint32_t field_count, uint32_t field_stride) LEMONADE_NOEXCEPT;
} lemonade_log_fields_t;

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
