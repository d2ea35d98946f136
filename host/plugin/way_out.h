// SPDX-License-Identifier: MIT
//
// How a thread gets out of a guarded call, for the handlers: out of the context that a signal has interrupted, or from
// where it is. Async-signal-safe.
//
// Only x86-64 has it. On other machines calls are watched, but a fault ends the process, as it does where
// plugins.containment is off.
#pragma once

#include "plugin/guard_slot.h"

#include <ucontext.h>

#include <cstdint>

namespace lemonade::plugin {

#if defined(__x86_64__)
inline constexpr bool kCanBreakOff = true;
#else
inline constexpr bool kCanBreakOff = false;
#endif

/// Has the interrupted thread go on, once the handler returns, where the call that has this stack is broken off.
void redirect(ucontext_t& context, void* stack) noexcept;

/// The same, with what the thread has outside of plugins: the mask of signals and the control words of arithmetic.
void redirectOut(ucontext_t& context, const GuardSlot& slot) noexcept;

/// Has the interrupted thread go on with its own control words of arithmetic, where it has others now that raise a
/// signal; false where it has not, and nothing has changed.
bool takeBackArithmetic(ucontext_t& context, const GuardSlot& slot) noexcept;

/// Goes there at once.
[[noreturn]] void leaveCall(GuardSlot& slot) noexcept;

/// The instruction that a signal has interrupted.
const void* instructionOf(const ucontext_t& context) noexcept;

/// Notes in the slot what the calling thread has outside of plugins.
void rememberArithmetic(GuardSlot& slot) noexcept;

}  // namespace lemonade::plugin
