/* SPDX-License-Identifier: MIT
 *
 * What the plugins of the zoo have in common: the entry symbol, and options. BEAST_MISDEED names what one of them does
 * wrong; each source is built once for each of its misdeeds. Constants of the entry symbol are wrong by a definition of
 * their own (BEAST_MAGIC and the like). */
#ifndef BEAST_H
#define BEAST_H

#include <lemonade/plugin.h>

#include <stdlib.h>
#include <string.h>

#define DOES(misdeed) (__builtin_strcmp(BEAST_MISDEED, misdeed) == 0)

#ifndef BEAST_MAGIC
#define BEAST_MAGIC LEMONADE_MAGIC
#endif
#ifndef BEAST_MAJOR
#define BEAST_MAJOR LEMONADE_ABI_MAJOR
#endif
#ifndef BEAST_NEED
#define BEAST_NEED 0
#endif
#ifndef BEAST_LAYOUT
#define BEAST_LAYOUT LEMONADE_LAYOUT_HASH
#endif
#ifndef BEAST_KINDS
#define BEAST_KINDS BEAST_KIND
#endif
#ifndef BEAST_RESERVED
#define BEAST_RESERVED 0
#endif
#ifndef BEAST_ID
#define BEAST_ID "com.example.beast"
#endif
#ifndef BEAST_VERSION
#define BEAST_VERSION "1.0.0"
#endif
#ifndef BEAST_FLAGS
#define BEAST_FLAGS LEMONADE_FLAG_UNLOAD_SAFE
#endif
#ifndef BEAST_NAME
#define BEAST_NAME "Beast"
#endif
#ifndef BEAST_DEFAULT
#define BEAST_DEFAULT "5"
#endif

static const lemonade_option_t kBeastOptions[] = {{LEMONADE_STR_INIT("speed"),
                                                   LEMONADE_OPTION_INTEGER,
                                                   0,
                                                   1,
                                                   10,
                                                   LEMONADE_STR_INIT(BEAST_DEFAULT),
                                                   {NULL, 0},
                                                   LEMONADE_STR_INIT("How fast it runs.")},
                                                  {LEMONADE_STR_INIT("label"),
                                                   LEMONADE_OPTION_STRING,
                                                   0,
                                                   0,
                                                   0,
                                                   {NULL, 0},
                                                   {NULL, 0},
                                                   LEMONADE_STR_INIT("What it is called.")}};

static const void* beastInterface(lemonade_str_t id);

LEMONADE_EXPORT const lemonade_plugin_t lemonade_plugin_v1 = {
    {BEAST_MAGIC,
     BEAST_MAJOR,
     LEMONADE_ABI_MINOR,
     BEAST_NEED,
     BEAST_RESERVED,
     BEAST_KINDS,
     BEAST_FLAGS,
     BEAST_LAYOUT,
     {0}},
    BEAST_ID,
    BEAST_VERSION,
    sizeof(lemonade_plugin_t),
    2,
    sizeof(lemonade_option_t),
    0,
    kBeastOptions,
    LEMONADE_STR_INIT(BEAST_NAME),
    LEMONADE_STR_INIT("Example"),
    LEMONADE_STR_INIT("MIT"),
    LEMONADE_STR_INIT("Does one thing wrong."),
    beastInterface,
};

/* The table, where this is the interface that was asked for. */
static inline const void* beastAnswer(lemonade_str_t asked, const char* interface, const void* table) {
  if (DOES("any_interface")) return table;
  return asked.size == strlen(interface) && memcmp(asked.data, interface, asked.size) == 0 ? table : NULL;
}

static inline lemonade_status_t beastFail(lemonade_error_t* error, lemonade_status_t code, const char* message) {
  error->code = code;
  error->key[0] = '\0';
  strncpy(error->message, message, sizeof(error->message) - 1);
  error->message[sizeof(error->message) - 1] = '\0';
  return code;
}

#endif
