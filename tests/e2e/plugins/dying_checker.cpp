// SPDX-License-Identifier: MIT
//
// A checker that passes, until a file is there: then it faults where the lock of the allocator is held, which nobody
// survives.
#include <lemonade/sdk/health_checker.hpp>

#include <unistd.h>

#include <cstdlib>

namespace {

using namespace lemonade::sdk;

void dieWhenToldTo() {
  const char* const file = std::getenv("LEMONADE_TEST_FATAL");
  void* volatile nowhere = reinterpret_cast<void*>(0x1010);  // no compiler sees what it is
  if (file != nullptr && ::access(file, F_OK) == 0) std::free(nowhere);
}

class DyingChecker : public HealthChecker {
 public:
  class Probe {
   public:
    Probe(const DyingChecker&, const lemonade_probe_target_t&) { dieWhenToldTo(); }
    Verdict on(const lemonade_probe_event_t&) { return pass(); }
  };
};

}  // namespace

LEMONADE_HEALTH_CHECKER(DyingChecker, .id = "com.example.dying_checker", .version = "1.0.0", .name = "Dying checker",
                        .vendor = "Example", .doc = "Passes, and dies when it is told to.")
