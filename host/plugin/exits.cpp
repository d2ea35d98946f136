// SPDX-License-Identifier: MIT
#include "plugin/exits.h"

#include "plugin/containment.h"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

namespace lemonade::plugin {

namespace {

using End = void (*)(int);

std::atomic<End> real_exit{nullptr};
std::atomic<End> real_quick_exit{nullptr};
std::atomic<End> real_exit_at_once{nullptr};

void find(std::atomic<End>& end, const char* name) noexcept {
  if (end.load(std::memory_order_relaxed) == nullptr)
    end.store(reinterpret_cast<End>(::dlsym(RTLD_NEXT, name)), std::memory_order_relaxed);
}

[[noreturn]] void goOn(std::atomic<End>& end, const char* name, int status) noexcept {
  if (name != nullptr) find(end, name);
  if (const End real = end.load(std::memory_order_relaxed); real != nullptr) real(status);
  for (;;) (void)::syscall(SYS_exit_group, status);
}

}  // namespace

void findExits() noexcept {
  find(real_exit, "exit");
  find(real_quick_exit, "quick_exit");
  find(real_exit_at_once, "_exit");
}

}  // namespace lemonade::plugin

// Clang puts those of its sanitizers into the program itself, where there can be no second ones.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LEMONADE_EXITS_ARE_TAKEN 1
#endif
#endif

#ifndef LEMONADE_EXITS_ARE_TAKEN

extern "C" {

__attribute__((visibility("default"), noreturn)) void exit(int status) noexcept {
  lemonade::plugin::Containment::leave(lemonade::plugin::FaultKind::kExit, "exit");
  lemonade::plugin::goOn(lemonade::plugin::real_exit, "exit", status);
}

__attribute__((visibility("default"), noreturn)) void quick_exit(int status) noexcept {
  lemonade::plugin::Containment::leave(lemonade::plugin::FaultKind::kExit, "quick_exit");
  lemonade::plugin::goOn(lemonade::plugin::real_quick_exit, "quick_exit", status);
}

// These are called from the handlers of signals and in children of vfork, too: they look nothing up.
__attribute__((visibility("default"), noreturn)) void _exit(int status) {
  lemonade::plugin::Containment::leave(lemonade::plugin::FaultKind::kExit, "_exit");
  lemonade::plugin::goOn(lemonade::plugin::real_exit_at_once, nullptr, status);
}

__attribute__((visibility("default"), noreturn)) void _Exit(int status) noexcept {
  lemonade::plugin::Containment::leave(lemonade::plugin::FaultKind::kExit, "_Exit");
  lemonade::plugin::goOn(lemonade::plugin::real_exit_at_once, nullptr, status);
}

}  // extern "C"

#endif
