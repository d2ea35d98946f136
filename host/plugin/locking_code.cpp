// SPDX-License-Identifier: MIT
#include "plugin/locking_code.h"

#include <dlfcn.h>
#include <link.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lemonade::plugin {

namespace {

constexpr std::array kAllocator = {"malloc",        "free",     "calloc",   "realloc",     "memalign",
                                   "aligned_alloc", "valloc",   "pvalloc",  "malloc_trim", "posix_memalign",
                                   "reallocarray",  "mallinfo", "mallinfo2"};
constexpr std::array kLinker = {"dlopen", "dlclose", "dlsym", "dlvsym", "dladdr", "dl_iterate_phdr", "dlinfo"};

struct Range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

std::array<Range, kAllocator.size() + kLinker.size() + 1> ranges;
std::atomic<std::size_t> range_count{0};

/// Where an object that is mapped at base has its code.
Range codeOf(const void* base) noexcept {
  struct Search {
    std::uintptr_t base;
    Range found;
  } search{reinterpret_cast<std::uintptr_t>(base), {}};
  (void)::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& wanted = *static_cast<Search*>(data);
        if (info->dlpi_addr != wanted.base) return 0;
        for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
          const auto& part = info->dlpi_phdr[i];
          if (part.p_type == PT_LOAD && (part.p_flags & PF_X) != 0)
            wanted.found = {info->dlpi_addr + part.p_vaddr, info->dlpi_addr + part.p_vaddr + part.p_memsz};
        }
        return 1;
      },
      &search);
  return search.found;
}

/// Where a function is; base is set to where its object is mapped.
Range rangeOf(const char* name, const void*& base) noexcept {
  void* const function = ::dlsym(RTLD_DEFAULT, name);
  Dl_info info;
  void* extra = nullptr;
  if (function == nullptr || ::dladdr1(function, &info, &extra, RTLD_DL_SYMENT) == 0 || extra == nullptr) return {};
  base = info.dli_fbase;
  const auto begin = reinterpret_cast<std::uintptr_t>(function);
  return {begin, begin + static_cast<const ElfW(Sym)*>(extra)->st_size};
}

}  // namespace

void findLockingCode() noexcept {
  if (range_count.load(std::memory_order_acquire) != 0) return;
  std::size_t count = 0;
  const void* of_libc = nullptr;
  const void* of_allocator = nullptr;
  (void)rangeOf("getenv", of_libc);
  for (const char* name : kAllocator) {
    const void* base = nullptr;
    ranges[count++] = rangeOf(name, base);
    if (base != nullptr && base != of_libc) of_allocator = base;
  }
  const void* ignored = nullptr;
  for (const char* name : kLinker) ranges[count++] = rangeOf(name, ignored);
  // Of another allocator nobody knows which of its functions call which.
  if (of_allocator != nullptr) ranges[count++] = codeOf(of_allocator);
  range_count.store(count, std::memory_order_release);
}

bool isLockingCode(const void* address) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const std::size_t count = range_count.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < count; ++i)
    if (at >= ranges[i].begin && at < ranges[i].end) return true;
  return false;
}

}  // namespace lemonade::plugin
