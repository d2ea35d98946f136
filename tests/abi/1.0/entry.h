/* SPDX-License-Identifier: MIT
 *
 * What the C plugins of this folder have in common. */
#ifndef ENTRY_H
#define ENTRY_H

#include <lemonade/host.h>

#include <string.h>

static inline int32_t same(lemonade_str_t text, const char* other) {
  return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

static inline lemonade_str_t text(const char* literal) {
  const lemonade_str_t borrowed = {literal, strlen(literal)};
  return borrowed;
}

static inline lemonade_status_t fail(lemonade_error_t* error, lemonade_status_t code, const char* message) {
  error->code = code;
  error->key[0] = '\0';
  strncpy(error->message, message, sizeof(error->message) - 1);
  error->message[sizeof(error->message) - 1] = '\0';
  return code;
}

/* A counter of the plugin's own; NULL where the host refuses. */
static inline lemonade_metric_cell_t* counter(const lemonade_host_t* host, const char* name) {
  lemonade_metric_cell_t* cell = NULL;
  const lemonade_str_t help = LEMONADE_STR("Counted by a plugin of ABI 1.0.");
  return host->register_metric(host->context, LEMONADE_METRIC_COUNTER, text(name), help, &cell) == LEMONADE_OK ? cell
                                                                                                               : NULL;
}

static const void* interfaceOf(lemonade_str_t id);

/* ENTRY(kinds, id, rows): the entry symbol, with an array of options. */
#define ENTRY(kinds, id, rows)                                   \
  LEMONADE_EXPORT const lemonade_plugin_t lemonade_plugin_v1 = { \
      {{'L', 'E', 'M', 'O', 'N', 'A', 'D', 'E'},                 \
       LEMONADE_ABI_MAJOR,                                       \
       LEMONADE_ABI_MINOR,                                       \
       0,                                                        \
       0,                                                        \
       kinds,                                                    \
       LEMONADE_FLAG_UNLOAD_SAFE,                                \
       LEMONADE_LAYOUT_HASH,                                     \
       {0}},                                                     \
      id,                                                        \
      "1.0.0",                                                   \
      sizeof(lemonade_plugin_t),                                 \
      sizeof(rows) / sizeof((rows)[0]),                          \
      sizeof(lemonade_option_t),                                 \
      0,                                                         \
      rows,                                                      \
      LEMONADE_STR(id),                                          \
      LEMONADE_STR("Example"),                                   \
      LEMONADE_STR("MIT"),                                       \
      LEMONADE_STR("Uses all that ABI 1.0 has for its kind."),   \
      interfaceOf,                                               \
  };

#endif
