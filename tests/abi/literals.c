/* SPDX-License-Identifier: MIT
 *
 * A text of the ABI out of a literal, wherever one may be wanted. */
#include <lemonade/strategy.h>

static const lemonade_str_t constant = LEMONADE_STR_INIT("constant");
static const lemonade_option_t row = {.key = LEMONADE_STR_INIT("key"), .doc = LEMONADE_STR_INIT("Says something.")};

int32_t isEither(lemonade_str_t text) {
  lemonade_str_t other = LEMONADE_STR("before");
  other = LEMONADE_STR("after");
  return lemonade_str_equal(text, LEMONADE_STR("an argument")) || lemonade_str_equal(text, constant) ||
         lemonade_str_equal(text, row.key) || lemonade_str_equal(text, other);
}
