// SPDX-License-Identifier: MIT
#include "plugin/float_control.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace lemonade::plugin {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kFlushes = 0x8040;  // FTZ, DAZ
constexpr std::uint32_t kRounding = 0x6000;
constexpr std::uint32_t kX87Rounding = 0x0f00;  // and precision
#elif defined(__aarch64__)
constexpr std::uint32_t kFlushes = 0x01080003;  // FZ, FZ16, FIZ, AH
constexpr std::uint32_t kRounding = 0x00c00000;
constexpr std::uint32_t kX87Rounding = 0;
#endif

}  // namespace

FloatControl FloatControl::now() noexcept {
#if defined(__x86_64__)
  constexpr std::uint32_t kReports = 0x3f;
  std::uint16_t x87 = 0;
  asm volatile("fnstcw %0" : "=m"(x87));
  return {_mm_getcsr() & ~kReports, x87};
#elif defined(__aarch64__)
  std::uint64_t control = 0;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  return {static_cast<std::uint32_t>(control), 0};
#endif
}

void FloatControl::use() const noexcept {
#if defined(__x86_64__)
  const auto word = static_cast<std::uint16_t>(x87);
  asm volatile("fnclex\n\tfldcw %0" : : "m"(word));
  _mm_setcsr(vector);
#elif defined(__aarch64__)
  const std::uint64_t control = vector;
  asm volatile("msr fpcr, %0" : : "r"(control));
#endif
}

std::vector<ProcessChange> FloatControl::changesIn(const FloatControl& later) const {
  std::vector<ProcessChange> changes;
  const auto changed = vector ^ later.vector;
  const auto x87_changed = x87 ^ later.x87;
  if ((changed & kFlushes) != 0)
    changes.push_back({"makes the smallest floating-point numbers zero (FTZ, DAZ), in every thread that comes after",
                       "build and link it without -ffast-math, -Ofast and -funsafe-math-optimizations: linked with "
                       "them, it does this when it is loaded"});
  if ((changed & ~(kFlushes | kRounding)) != 0 || (x87_changed & ~kX87Rounding) != 0)
    changes.push_back(
        {"makes floating-point exceptions raise SIGFPE",
         "do not call feenableexcept, and put back what you change within the call (fegetenv, fesetenv)"});
  if ((changed & kRounding) != 0 || (x87_changed & kX87Rounding) != 0)
    changes.push_back({"changes how floating-point numbers are rounded",
                       "put back what you change within the call (fegetround, fesetround)"});
  return changes;
}

}  // namespace lemonade::plugin
