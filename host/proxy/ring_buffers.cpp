// SPDX-License-Identifier: MIT
#include "proxy/ring_buffers.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>

namespace lemonade::proxy {

RingBuffers::RingBuffers(Ring& ring) {
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kBytes = kMostOffered * sizeof(io_uring_buf);
  static_assert(kBytes % kPage == 0);
  offers_.reset(static_cast<io_uring_buf_ring*>(std::aligned_alloc(kPage, kBytes)));
  if (offers_ == nullptr) throw std::bad_alloc();
  std::memset(static_cast<void*>(offers_.get()), 0, kBytes);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(offers_.get());
  registration.ring_entries = kMostOffered;
  registration.bgid = kGroup;
  if (const int result = ::io_uring_register_buf_ring(&ring.get(), &registration, 0); result < 0)
    throw std::system_error(-result, std::generic_category(), "io_uring_register_buf_ring");
  free_.reserve(kOffered);
  blank_.reserve(kOffered);
}

bool RingBuffers::offer(unsigned more) noexcept {
  const unsigned wanted = std::min(kOffered + more, kMostOffered);
  int added = 0;
  for (; offered_ < wanted && (!free_.empty() || make()); ++offered_) {
    const Id id = free_.back();
    free_.pop_back();
    ::io_uring_buf_ring_add(offers_.get(), buffers_[id].data.get(), kSize, id, ::io_uring_buf_ring_mask(kMostOffered),
                            added++);
  }
  if (added != 0) ::io_uring_buf_ring_advance(offers_.get(), added);
  return offered_ != 0;
}

void RingBuffers::take(Id id, std::uint32_t size) noexcept {
  --offered_;
  buffers_[id].size = size;
}

void RingBuffers::give(Id id) noexcept {
  if (free_.size() < kMostKept) return free_.push_back(id);
  buffers_[id].data.reset();
  blank_.push_back(id);
}

void RingBuffers::append(Id to, Id from) noexcept {
  Buffer& longer = buffers_[to];
  std::memcpy(longer.data.get() + longer.size, buffers_[from].data.get(), buffers_[from].size);
  longer.size += buffers_[from].size;
}

// One more free buffer; false where there is no memory or no id for it.
bool RingBuffers::make() noexcept try {
  if (blank_.empty()) {
    if (buffers_.size() == kMost) return false;
    buffers_.emplace_back();
    blank_.reserve(buffers_.size());
    free_.reserve(buffers_.size());
    blank_.push_back(static_cast<Id>(buffers_.size() - 1));
  }
  const Id id = blank_.back();
  buffers_[id].data.reset(new char[kSize]);
  blank_.pop_back();
  free_.push_back(id);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

}  // namespace lemonade::proxy
