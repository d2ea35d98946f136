// SPDX-License-Identifier: MIT
//
// The main function of every test binary: Catch2's, which knows of tests that are skipped. To Catch2 they fail, by the
// one exception that skips them; a test that failed otherwise before fails here too.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "support/skip.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

namespace {

/// Where the kernel is to forward, its tests have a network of their own, which is loopback alone. False where this
/// machine does not let us.
bool enterOwnNetwork() {
  if (std::getenv("LEMONADE_TEST_FORWARD") == nullptr) return true;
  if (::unshare(CLONE_NEWNET) != 0) return false;
  ifreq loopback{};
  loopback.ifr_name[0] = 'l';
  loopback.ifr_name[1] = 'o';
  loopback.ifr_flags = IFF_UP;
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool up = ::ioctl(fd, SIOCSIFFLAGS, &loopback) == 0;
  ::close(fd);
  for (const char* setting : {"ipv4/ip_forward", "ipv6/conf/all/forwarding"})
    std::ofstream(std::string("/proc/sys/net/") + setting) << "1";
  return up;
}

bool skipping = false;  // the test that runs has thrown Skipped
std::uint64_t skipped = 0;
std::uint64_t finished = 0;

CATCH_TRANSLATE_EXCEPTION(const lemonade::test::Skipped& what) {
  skipping = true;
  return "test skipped: " + what.reason;
}

struct SkipListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    ++finished;
    if (std::exchange(skipping, false) && stats.totals.assertions.failed == 1) ++skipped;
  }
};

CATCH_REGISTER_LISTENER(SkipListener)

}  // namespace

int main(int count, char** arguments) {
  if (!enterOwnNetwork()) {
    std::cout << "skipped: this machine gives no network of its own to a test\n";
    return lemonade::test::kSkippedCode;
  }
  const int failed = Catch::Session().run(count, arguments);
  if (skipped == 0) return failed;
  std::cout << skipped << " of " << finished << " tests skipped, which are no failures\n";
  if (failed != static_cast<int>(skipped)) return failed;
  return skipped == finished ? lemonade::test::kSkippedCode : 0;
}
