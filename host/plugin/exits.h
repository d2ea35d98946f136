// SPDX-License-Identifier: MIT
//
// exit(), _exit(), _Exit() and quick_exit() of the program. Where it exports them (host/exported.list), plugins find
// these before those of the C library, and one that ends the process so has its call broken off instead. Everybody
// else's calls go on to the C library.
#pragma once

namespace lemonade::plugin {

/// Finds those of the C library. Before a handler needs them; again changes nothing.
void findExits() noexcept;

}  // namespace lemonade::plugin
