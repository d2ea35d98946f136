// SPDX-License-Identifier: MIT
#include "base/listen_mend.h"

#include <cerrno>

namespace lemonade {

const char* listenMend(int error) noexcept {
  switch (error) {
    case EADDRINUSE:
      return "; another program listens there (ss -ltnp shows which)";
    case EACCES:
      return "; ports below 1024 need CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
      return "; this machine has no such address";
    default:
      return "";
  }
}

}  // namespace lemonade
