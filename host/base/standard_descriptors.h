// SPDX-License-Identifier: MIT
//
// Descriptors 0 to 2, open whatever the caller of the program left closed.
#pragma once

namespace lemonade {

/// Opens those of the descriptors 0, 1 and 2 that are closed on /dev/null, or on something that can be neither read nor
/// written where there is no /dev/null. Otherwise the next socket would be one of them, and the log would be written to
/// a client. A program calls it first, before anything else opens a descriptor.
void openStandardDescriptors() noexcept;

}  // namespace lemonade
