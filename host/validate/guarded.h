// SPDX-License-Identifier: MIT
//
// Memory that ends where a page without access begins: who reads or writes one byte too many dies of it.
#pragma once

#include "validate/host_age.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>

namespace lemonade::validate {

/// Whether reading past a struct is a crash here, or gives zeros: it is of the checks that look for it, so that others
/// can name what else is wrong.
inline bool guards_up = false;

/// A block of bytes behind which nothing may be touched; its end is aligned to the page. Move only.
class GuardedBytes {
 public:
  explicit GuardedBytes(std::size_t size, bool guarded = guards_up) : size_(size) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t pages = (size + page - 1) / page * page;
    mapped_ = pages + page;
    void* base = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(base);
    if (guarded) ::mprotect(base_ + pages, page, PROT_NONE);
    data_ = base_ + pages - size;
  }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  ~GuardedBytes() { ::munmap(base_, mapped_); }

  std::byte* data() noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }

 private:
  std::byte* base_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t mapped_ = 0;
  std::size_t size_ = 0;
};

/// A T as the host of the check hands it out (see host_age.h), or as many bytes more as a later ABI may have appended
/// to it, which hold garbage. T starts with struct_size.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::size_t extra) : bytes_(sizeHere<T>() + extra) {
    std::memset(bytes_.data(), 0, bytes_.size() - extra);
    std::memset(bytes_.data() + bytes_.size() - extra, 0xa5, extra);
    get()->struct_size = static_cast<std::uint32_t>(bytes_.size());
  }
  T* get() noexcept { return reinterpret_cast<T*>(bytes_.data()); }
  T* operator->() noexcept { return get(); }

 private:
  GuardedBytes bytes_;
};

}  // namespace lemonade::validate
