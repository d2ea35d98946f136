// SPDX-License-Identifier: MIT
//
// The way into a guarded call and out of it. The way in keeps what a function must give back, which are six
// registers, and notes where the stack is; whoever breaks the call off puts the thread there.
#include "plugin/guard_slot.h"
#include "plugin/way_out.h"

namespace lemonade::plugin {

thread_local constinit GuardSlot* t_guard_slot = nullptr;
thread_local constinit ThreadStacks t_thread_stacks;

#if defined(__x86_64__)

// What a function must give back; the last step is for the alignment that a call wants.
#define LEMONADE_KEEP \
  "pushq %rbp\n"      \
  "pushq %rbx\n"      \
  "pushq %r12\n"      \
  "pushq %r13\n"      \
  "pushq %r14\n"      \
  "pushq %r15\n"      \
  "subq $8, %rsp\n"

#define LEMONADE_GIVE_BACK \
  "addq $8, %rsp\n"        \
  "popq %r15\n"            \
  "popq %r14\n"            \
  "popq %r13\n"            \
  "popq %r12\n"            \
  "popq %rbx\n"            \
  "popq %rbp\n"

// rdi is where the stack is noted, rsi what to call, rdx its argument.
#define LEMONADE_WAY_IN \
  LEMONADE_KEEP         \
  "movq %rsp, (%rdi)\n" \
  "movq %rdx, %rdi\n"

#define LEMONADE_BEGIN(name)         \
  ".text\n"                          \
  ".p2align 4\n"                     \
  ".globl " name                     \
  "\n"                               \
  ".hidden " name                    \
  "\n"                               \
  ".type " name ", @function\n" name \
  ":\n"                              \
  ".cfi_startproc\n"

#define LEMONADE_END(name) \
  ".cfi_endproc\n"         \
  ".size " name ", . - " name "\n"

// No exception passes: the unwinder finds no caller here, so one that a plugin throws ends in std::terminate at once.
asm(LEMONADE_BEGIN("lemonade_guarded_call") ".cfi_undefined rip\n" LEMONADE_WAY_IN
                                            "callq *%rsi\n"
                                            "xorl %eax, %eax\n"
                                            ".globl lemonade_guarded_return\n"
                                            ".hidden lemonade_guarded_return\n"
                                            "lemonade_guarded_return:\n" LEMONADE_GIVE_BACK
                                            "retq\n" LEMONADE_END("lemonade_guarded_call"));

// The six words are where target wants them already; it and the place lie on the stack, above the way back.
asm(LEMONADE_BEGIN("lemonade_guarded_direct") ".cfi_undefined rip\n"
                                              "movq 16(%rsp), %r11\n"
                                              "movq 8(%rsp), %rax\n" LEMONADE_KEEP
                                              "movq %rsp, (%r11)\n"
                                              "callq *%rax\n"
                                              "xorl %edx, %edx\n" LEMONADE_GIVE_BACK
                                              "retq\n" LEMONADE_END("lemonade_guarded_direct"));

// The unwinder passes, as a look at the frames has to.
asm(LEMONADE_BEGIN("lemonade_traced_call") LEMONADE_WAY_IN
    ".cfi_def_cfa_offset 64\n"
    ".cfi_offset rbp, -16\n"
    ".cfi_offset rbx, -24\n"
    ".cfi_offset r12, -32\n"
    ".cfi_offset r13, -40\n"
    ".cfi_offset r14, -48\n"
    ".cfi_offset r15, -56\n"
    "callq *%rsi\n"
    "xorl %eax, %eax\n"
    "jmp lemonade_guarded_return\n" LEMONADE_END("lemonade_traced_call"));

asm(LEMONADE_BEGIN("lemonade_leave_call")
    "movq %rdi, %rsp\n"
    "movl $1, %eax\n"
    "movl $1, %edx\n"
    "cld\n"
    "jmp lemonade_guarded_return\n"
    LEMONADE_END("lemonade_leave_call"));

#else

extern "C" int lemonade_guarded_call(std::atomic<void*>*, void (*invoke)(void*), void* closure) noexcept {
  invoke(closure);
  return 0;
}
extern "C" DirectAnswer lemonade_guarded_direct(const void* one, const void* two, const void* three, const void* four,
                                                const void* five, const void* six, void (*target)(),
                                                std::atomic<void*>*) noexcept {
  using Target = std::uint32_t (*)(const void*, const void*, const void*, const void*, const void*, const void*);
  return {reinterpret_cast<Target>(target)(one, two, three, four, five, six), 0};
}
extern "C" int lemonade_traced_call(std::atomic<void*>*, void (*invoke)(void*), void* closure) noexcept {
  invoke(closure);
  return 0;
}

#endif

}  // namespace lemonade::plugin
