// SPDX-License-Identifier: MIT
//
// The buffers of one worker. A session has one only while bytes wait for a slow reader; the rest of the time the worker
// reads into a buffer of its own and writes straight out of it.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace lemonade::proxy {

struct Buffer {
  static constexpr std::size_t kSize = 64 * 1024;
  std::array<char, kSize> data;
};

/// Worker thread only.
class Buffers {
 public:
  Buffers() { free_.reserve(kMostKept); }

  /// A buffer with any content; null where memory is out.
  std::unique_ptr<Buffer> take() noexcept {
    if (free_.empty()) return std::unique_ptr<Buffer>(new (std::nothrow) Buffer);
    auto buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }

  void give(std::unique_ptr<Buffer> buffer) noexcept {
    if (buffer != nullptr && free_.size() < kMostKept) free_.push_back(std::move(buffer));
  }

 private:
  static constexpr std::size_t kMostKept = 16;
  std::vector<std::unique_ptr<Buffer>> free_;
};

}  // namespace lemonade::proxy
