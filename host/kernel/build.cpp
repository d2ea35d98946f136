// SPDX-License-Identifier: MIT
#include "kernel/build.h"

namespace lemonade::kernel {

Status checkBuild() { return success(); }

}  // namespace lemonade::kernel
