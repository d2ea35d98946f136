// SPDX-License-Identifier: MIT
//
// What an operator does about an address that cannot be listened at. Stateless; any thread.
#pragma once

namespace lemonade {

/// "; " and the mend for an errno of bind(2) or listen(2); "" where there is none to tell.
const char* listenMend(int error) noexcept;

}  // namespace lemonade
