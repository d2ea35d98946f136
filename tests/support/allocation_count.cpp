// SPDX-License-Identifier: MIT
#include "support/allocation_count.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

thread_local std::uint64_t allocations = 0;

void* counted(std::size_t size, std::size_t alignment) noexcept {
  ++allocations;
  // aligned_alloc wants a multiple of the alignment.
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void* orThrow(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

constexpr std::size_t kDefault = alignof(std::max_align_t);

}  // namespace

std::uint64_t lemonade::test::allocationsOfThisThread() noexcept { return allocations; }

void* operator new(std::size_t size) { return orThrow(counted(size, kDefault)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted(size, kDefault); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return orThrow(counted(size, static_cast<std::size_t>(alignment)));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
