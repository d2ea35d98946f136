// SPDX-License-Identifier: MIT
//
// A process that can open hardly anything more, in tests that run in it.
#pragma once

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <unistd.h>

namespace lemonade::test {

/// So many descriptors can be had while this lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(int count) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit few = before_;
    few.rlim_cur = endOfFree(count);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  ~FewDescriptors() { (void)::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  /// The number after the first so many that are free: the kernel gives the lowest one first.
  static rlim_t endOfFree(int count) {
    if (count == 0) return 0;
    const int fd = ::dup(STDERR_FILENO);
    REQUIRE(fd >= 0);
    const rlim_t end = count == 1 ? static_cast<rlim_t>(fd) + 1 : endOfFree(count - 1);
    ::close(fd);
    return end;
  }

  rlimit before_{};
};

}  // namespace lemonade::test
