// SPDX-License-Identifier: MIT
//
// The buffers that one worker offers to the kernel, which takes one only when bytes have come: a session has none while
// nothing is under way. A small number is on offer at any time, so that small messages stay in the processor's cache;
// as many more as bytes wait for slow readers are made when they are needed. Worker thread only.
#pragma once

#include "proxy/ring.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace lemonade::proxy {

class RingBuffers {
 public:
  using Id = std::uint16_t;
  /// As much as one segment carries over loopback. With half as much the kernel spent the worker's time on sending what
  /// the peer had waiting, in answer to each acknowledgement.
  static constexpr std::size_t kSize = 64 * 1024;
  static constexpr std::uint16_t kGroup = 0;  ///< what requests name

  /// Throws std::system_error or std::bad_alloc. The kernel may use the buffers until the ring is closed: close that
  /// first.
  explicit RingBuffers(Ring& ring);
  RingBuffers(const RingBuffers&) = delete;
  RingBuffers& operator=(const RingBuffers&) = delete;

  /// Offers as many as there should be and so many more; false where there is none on offer, for want of memory.
  bool offer(unsigned more) noexcept;
  /// The kernel took one and put bytes into it: it is the caller's until give().
  void take(Id id, std::uint32_t size) noexcept;
  void give(Id id) noexcept;

  /// Copies the bytes of `from` behind those of `to`, which has room for them.
  void append(Id to, Id from) noexcept;

  const char* data(Id id) const noexcept { return buffers_[id].data.get(); }
  std::uint32_t size(Id id) const noexcept { return buffers_[id].size; }
  /// For a chain of buffers, which the caller makes and follows.
  Id& next(Id id) noexcept { return buffers_[id].next; }
  Id next(Id id) const noexcept { return buffers_[id].next; }

 private:
  static constexpr unsigned kOffered = 32;
  static constexpr unsigned kMostOffered = 4096;  // a power of two
  static constexpr std::size_t kMostKept = 64;
  static constexpr std::size_t kMost = 65'535;

  struct Buffer {
    std::unique_ptr<char[]> data;
    std::uint32_t size = 0;
    Id next = 0;
  };
  struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };

  bool make() noexcept;

  std::unique_ptr<io_uring_buf_ring, Free> offers_;
  unsigned offered_ = 0;
  std::vector<Buffer> buffers_;
  std::vector<Id> free_;   // the last one given back is the first to be offered again
  std::vector<Id> blank_;  // without memory
};

}  // namespace lemonade::proxy
