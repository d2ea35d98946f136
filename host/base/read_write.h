// SPDX-License-Identifier: MIT
//
// Reading and writing whole contents through descriptors. They wait where the descriptor does. Any thread.
#pragma once

#include <cstddef>
#include <string>

namespace lemonade {

/// What can be read until the end, or until a read fails, which errno then tells of: EAGAIN where the descriptor is
/// non-blocking and empty.
std::string readToEnd(int fd);

/// Writes all bytes; false, with errno, where some cannot be written.
bool writeAll(int fd, const void* data, std::size_t size) noexcept;

}  // namespace lemonade
