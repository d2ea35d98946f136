/* SPDX-License-Identifier: MIT
 *
 * The smallest shared object that reads as a plugin: what the ELF reader is fuzzed from. Never loaded. */
#include <lemonade/plugin.h>

LEMONADE_EXPORT const lemonade_plugin_t lemonade_plugin_v1 = {
    .tag = {.magic = {'L', 'E', 'M', 'O', 'N', 'A', 'D', 'E'},
            .abi_major = LEMONADE_ABI_MAJOR,
            .kinds = LEMONADE_KIND_STRATEGY,
            .layout_hash = LEMONADE_LAYOUT_HASH},
    .id = "com.example.seed",
    .version = "1.0.0",
    .struct_size = sizeof(lemonade_plugin_t),
};
