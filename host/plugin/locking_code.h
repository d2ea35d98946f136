// SPDX-License-Identifier: MIT
//
// Code that holds a lock of the whole process while it runs: the allocator and the dynamic linker. A call of a plugin
// that is in there cannot be broken off, or the next who needs the lock waits for ever.
#pragma once

namespace lemonade::plugin {

/// Finds out where that code is. Once, before the next is called; again changes nothing.
void findLockingCode() noexcept;

/// True where an address lies in it. Async-signal-safe, any thread.
bool isLockingCode(const void* address) noexcept;

}  // namespace lemonade::plugin
