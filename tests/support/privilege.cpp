// SPDX-License-Identifier: MIT
//
// What only root may do: see privilege.h.
#include "support/privilege.h"

#include "base/fd.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <system_error>
#include <thread>

namespace lemonade::test {
namespace {

void enterOwnNetwork() {
  if (::unshare(CLONE_NEWNET) != 0) throw std::system_error(errno, std::generic_category(), "unshare");
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &loopback) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot bring loopback up");
}

}  // namespace

bool isRoot() { return ::geteuid() == 0; }

void inOwnNetwork(const std::function<void()>& body) {
  std::exception_ptr thrown;
  std::thread([&] {
    try {
      enterOwnNetwork();
      body();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace lemonade::test
