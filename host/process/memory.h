// SPDX-License-Identifier: MIT
//
// How much memory that is free stays with the process. Before threads are started.
#pragma once

namespace lemonade {

/// Has what is large go back to the system when it is freed. Otherwise glibc takes each large buffer that was freed,
/// such as a scrape of thousands of backends, for a reason to keep as much in each thread from then on.
void returnFreedMemory() noexcept;

}  // namespace lemonade
