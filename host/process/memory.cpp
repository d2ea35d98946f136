// SPDX-License-Identifier: MIT
#include "process/memory.h"

#include <malloc.h>

namespace lemonade {

namespace {

constexpr int kLarge = 256 << 10;  // bytes; nothing that connections live on is as large

}  // namespace

void returnFreedMemory() noexcept {
  // Either call also ends the adaptation of both.
  (void)::mallopt(M_MMAP_THRESHOLD, kLarge);
  (void)::mallopt(M_TRIM_THRESHOLD, kLarge);
}

}  // namespace lemonade
