/* SPDX-License-Identifier: MIT
 *
 * A whole strategy in plain C: the last eligible backend takes every connection. */
#include <lemonade/strategy.h>

static int instance;

static lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                                lemonade_error_t* error) {
  (void)host, (void)options, (void)error;
  *self = &instance;
  return LEMONADE_OK;
}

static void destroy(void* self) { (void)self; }

static uint32_t pick(void* self, void* lane, const void* prepared, const lemonade_connection_t* connection,
                     const lemonade_view_t* view, uint64_t* cookie) {
  (void)self, (void)lane, (void)prepared, (void)cookie;
  for (uint32_t i = view->eligible_count; i-- > 0;)
    if (lemonade_may_pick(connection, view, view->eligible[i])) return view->eligible[i];
  return LEMONADE_PICK_NONE;
}

static const lemonade_strategy_t table = {
    .struct_size = sizeof(lemonade_strategy_t), .create = create, .destroy = destroy, .pick = pick};

static const void* getInterface(lemonade_str_t id) {
  static const char wanted[] = LEMONADE_STRATEGY_INTERFACE;
  if (id.size != sizeof(wanted) - 1) return NULL;
  for (uint64_t i = 0; i < id.size; ++i)
    if (id.data[i] != wanted[i]) return NULL;
  return &table;
}

LEMONADE_EXPORT const lemonade_plugin_t lemonade_plugin_v1 = {
    .tag = {.magic = {'L', 'E', 'M', 'O', 'N', 'A', 'D', 'E'},
            .abi_major = LEMONADE_ABI_MAJOR,
            .abi_minor = LEMONADE_ABI_MINOR,
            .kinds = LEMONADE_KIND_STRATEGY,
            .flags = LEMONADE_FLAG_UNLOAD_SAFE,
            .layout_hash = LEMONADE_LAYOUT_HASH},
    .id = "com.example.last",
    .version = "1.0.0",
    .struct_size = sizeof(lemonade_plugin_t),
    .option_stride = sizeof(lemonade_option_t),
    .name = LEMONADE_STR("Last"),
    .vendor = LEMONADE_STR("Example"),
    .license = LEMONADE_STR("MIT"),
    .doc = LEMONADE_STR("The last eligible backend takes every connection."),
    .get_interface = getInterface,
};
