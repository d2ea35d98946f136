// SPDX-License-Identifier: MIT
//
// What a plugin does that turns, by name: each ends the call in a way of its own, or has it go on for ever.
#pragma once

#include <fenv.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string_view>

namespace bad {

inline int recurse(int depth) {
  volatile char room[4'096];
  room[0] = static_cast<char>(depth);
  return depth < 1 << 30 ? recurse(depth + 1) + room[0] : 0;
}

/// Reads from a file that has no bytes.
inline void readBehindTheEnd() {
  const int fd = ::memfd_create("empty", MFD_CLOEXEC);
  auto* const mapped = static_cast<volatile char*>(::mmap(nullptr, 4'096, PROT_READ, MAP_SHARED, fd, 0));
  ::close(fd);
  (void)*mapped;
}

/// Not looked at by UndefinedBehaviorSanitizer, which would end the process before anybody can do something about it.
__attribute__((no_sanitize("undefined"))) inline void misbehave(std::string_view how) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static volatile int zero = 0;
  static volatile int* volatile nowhere = reinterpret_cast<volatile int*>(8);
  if (how == "segv") *nowhere = 1;
  if (how == "bus") readBehindTheEnd();
  if (how == "ill") __builtin_trap();
  if (how == "fpe") zero = 7 / zero;
  if (how == "traps") ::feenableexcept(FE_ALL_EXCEPT);  // and returns
  if (how == "abort") std::abort();
  if (how == "throw") throw std::runtime_error("not today");
  if (how == "terminate") std::terminate();
  if (how == "exit") std::exit(0);
  if (how == "_exit") ::_exit(0);
  if (how == "quick_exit") std::quick_exit(0);
  if (how == "kill") {
    ::usleep(100'000);  // so that the process is seen to be in here
    ::kill(::getpid(), SIGKILL);
  }
  if (how == "recurse") zero = recurse(0);
  if (how == "slow") ::poll(nullptr, 0, 120);
  if (how == "block")
    for (;;) ::pause();
  if (how == "lock") {
    ::pthread_mutex_lock(&mutex);
    ::pthread_mutex_lock(&mutex);
  }
  if (how == "spin")
    for (volatile bool on = true; on;) {
    }
}

}  // namespace bad
