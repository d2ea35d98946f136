// SPDX-License-Identifier: MIT
#include "base/patient_memory.h"

#include "base/clock.h"

#include <ctime>
#include <new>

namespace lemonade {

namespace {

constexpr std::uint64_t kPatience = 5'000'000'000;
constexpr timespec kPause{0, 5'000'000};

struct Patience {
  unsigned depth = 0;          // how many PatientMemory live on this thread
  std::uint64_t until_ns = 0;  // of the want of memory that goes on; monotonic
  std::uint64_t asked_ns = 0;  // when memory was last wanted in vain
};
thread_local Patience patience;

// operator new calls this where there is no memory, and tries again when it returns.
void waitForMemory() {
  const std::uint64_t now = nowNs();
  if (patience.depth == 0) throw std::bad_alloc();
  if (now - patience.asked_ns > kPatience) patience.until_ns = now + kPatience;  // a new want
  patience.asked_ns = now;
  if (now > patience.until_ns) throw std::bad_alloc();
  (void)::nanosleep(&kPause, nullptr);
}

}  // namespace

PatientMemory::PatientMemory() noexcept {
  std::set_new_handler(waitForMemory);
  ++patience.depth;
}

PatientMemory::~PatientMemory() { --patience.depth; }

}  // namespace lemonade
