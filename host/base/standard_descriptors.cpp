// SPDX-License-Identifier: MIT
#include "base/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

namespace lemonade {

void openStandardDescriptors() noexcept {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest number that is free is given, which is this one.
    if (::open("/dev/null", O_RDWR) < 0) (void)::open("/", O_PATH | O_DIRECTORY);
  }
}

}  // namespace lemonade
