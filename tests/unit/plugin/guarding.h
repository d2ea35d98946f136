// SPDX-License-Identifier: MIT
//
// What the tests of guarded calls share: which sanitizer they run under, and values that the compiler knows nothing of.
#pragma once

#include "support/skip.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace lemonade::plugin {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;  // which puts a signal off until the thread calls something it knows
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
inline void lookForLeaks(bool on) { on ? __lsan_enable() : __lsan_disable(); }
#else
inline constexpr bool kAddressSanitizer = false;
inline void lookForLeaks(bool) {}
#endif

/// Its handlers come before ours, and its own frames count as the allocator's.
inline void skipUnderThreadSanitizer() {
  if (kThreadSanitizer)
    test::skip("ThreadSanitizer stands between a plugin's abort, or a stack that is broken, and us");
}

/// What the compiler must not see through.
template <class T>
T opaque(T value) {
  asm volatile("" : "+r"(value));
  return value;
}

}  // namespace lemonade::plugin
