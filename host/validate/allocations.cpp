// SPDX-License-Identifier: MIT
#include "validate/allocations.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {

thread_local std::uint64_t heap_calls = 0;
thread_local std::int64_t left_to_succeed = -1;
std::atomic<std::int64_t> blocks{0};

}  // namespace

namespace lemonade::validate {

std::uint64_t heapCallsOfThisThread() noexcept { return heap_calls; }
std::int64_t blocksInUse() noexcept { return blocks.load(std::memory_order_relaxed); }
void failAllocationsAfter(std::int64_t succeed) noexcept { left_to_succeed = succeed; }

}  // namespace lemonade::validate

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

bool mayAllocate() noexcept {
  ++heap_calls;
  if (left_to_succeed < 0) return true;
  if (left_to_succeed == 0) return false;
  --left_to_succeed;
  return true;
}

void* counted(void* memory) noexcept {
  if (memory != nullptr) blocks.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

}  // namespace

extern "C" {

// glibc's own, under the names it keeps for those who stand in front of them.
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);

void* malloc(std::size_t size) { return mayAllocate() ? counted(__libc_malloc(size)) : nullptr; }
void* calloc(std::size_t count, std::size_t size) {
  return mayAllocate() ? counted(__libc_calloc(count, size)) : nullptr;
}
void* realloc(void* memory, std::size_t size) {
  if (!mayAllocate()) return nullptr;
  void* moved = __libc_realloc(memory, size);
  if (memory == nullptr) return counted(moved);
  if (moved == nullptr && size == 0) blocks.fetch_sub(1, std::memory_order_relaxed);
  return moved;
}
void* memalign(std::size_t alignment, std::size_t size) {
  return mayAllocate() ? counted(__libc_memalign(alignment, size)) : nullptr;
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  void* made = memalign(alignment, size);
  if (made == nullptr) return ENOMEM;
  *memory = made;
  return 0;
}
void free(void* memory) {
  if (memory == nullptr) return;
  ++heap_calls;
  blocks.fetch_sub(1, std::memory_order_relaxed);
  __libc_free(memory);
}

}  // extern "C"

#endif
