// SPDX-License-Identifier: MIT
#include "plugin/way_out.h"

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define LEMONADE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEMONADE_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef LEMONADE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace lemonade::plugin {

namespace {

/// The frames that are left keep no guard zones of AddressSanitizer.
void forgetFrames([[maybe_unused]] const void* from, [[maybe_unused]] const void* to) noexcept {
#ifdef LEMONADE_ADDRESS_SANITIZER
  const auto* const low = static_cast<const char*>(from);
  const auto* const high = static_cast<const char*>(to);
  if (low < high) __asan_unpoison_memory_region(low, static_cast<std::size_t>(high - low));
#endif
}

}  // namespace

#if defined(__x86_64__)

extern "C" const char lemonade_guarded_return[];
extern "C" [[noreturn]] void lemonade_leave_call(void* stack) noexcept;

namespace {

// The direction of strings is up, steps are not traced and alignment is not checked, as everybody expects.
constexpr greg_t kTrap = 0x100, kDirection = 0x400, kAlignment = 0x40000;
constexpr std::size_t kKernelMask = 8;  // the kernel's set of signals, behind which it keeps other things

}  // namespace

void redirect(ucontext_t& context, void* stack) noexcept {
  auto& registers = context.uc_mcontext.gregs;
  forgetFrames(reinterpret_cast<const void*>(registers[REG_RSP]), stack);
  registers[REG_RIP] = reinterpret_cast<greg_t>(lemonade_guarded_return);
  registers[REG_RSP] = reinterpret_cast<greg_t>(stack);
  registers[REG_RAX] = 1;
  registers[REG_RDX] = 1;
  registers[REG_EFL] &= ~(kTrap | kDirection | kAlignment);
}

void redirectOut(ucontext_t& context, const GuardSlot& slot) noexcept {
  redirect(context, slot.stack.load(std::memory_order_relaxed));
  std::memcpy(&context.uc_sigmask, &slot.mask, kKernelMask);
  if (auto* const arithmetic = context.uc_mcontext.fpregs; arithmetic != nullptr) {
    arithmetic->cwd = slot.x87_control;
    arithmetic->swd = 0;
    arithmetic->ftw = 0;  // all registers are empty
    arithmetic->mxcsr = slot.mxcsr;
  }
}

// The instruction has changed nothing when it faults, and is carried out again.
bool takeBackArithmetic(ucontext_t& context, const GuardSlot& slot) noexcept {
  constexpr std::uint32_t kMasks = 0x1f80;  // one bit for each exception that raises no signal
  constexpr std::uint16_t kX87Masks = 0x3f, kX87Raised = 0x80ff;
  auto* const arithmetic = context.uc_mcontext.fpregs;
  if (arithmetic == nullptr) return false;
  const bool raises = (slot.mxcsr & ~arithmetic->mxcsr & kMasks) != 0;
  const bool x87_raises = (slot.x87_control & ~arithmetic->cwd & kX87Masks) != 0;
  if (!raises && !x87_raises) return false;
  arithmetic->mxcsr = slot.mxcsr;
  arithmetic->cwd = slot.x87_control;
  arithmetic->swd = static_cast<std::uint16_t>(arithmetic->swd & ~kX87Raised);
  return true;
}

void leaveCall(GuardSlot& slot) noexcept {
  (void)::pthread_sigmask(SIG_SETMASK, &slot.mask, nullptr);
  _mm_setcsr(slot.mxcsr);
  asm volatile("fninit\n\tfldcw %0" : : "m"(slot.x87_control));
  void* const stack = slot.stack.load(std::memory_order_relaxed);
  forgetFrames(__builtin_frame_address(0), stack);
  lemonade_leave_call(stack);
}

const void* instructionOf(const ucontext_t& context) noexcept {
  return reinterpret_cast<const void*>(context.uc_mcontext.gregs[REG_RIP]);
}

void rememberArithmetic(GuardSlot& slot) noexcept {
  constexpr std::uint32_t kRaised = 0x3f;  // what has happened so far
  slot.mxcsr = _mm_getcsr() & ~kRaised;
  asm volatile("fnstcw %0" : "=m"(slot.x87_control));
}

#else

void redirect(ucontext_t&, void*) noexcept {}
void redirectOut(ucontext_t&, const GuardSlot&) noexcept {}
bool takeBackArithmetic(ucontext_t&, const GuardSlot&) noexcept { return false; }
void leaveCall(GuardSlot&) noexcept { std::abort(); }
const void* instructionOf(const ucontext_t&) noexcept { return nullptr; }
void rememberArithmetic(GuardSlot&) noexcept {}

#endif

}  // namespace lemonade::plugin
