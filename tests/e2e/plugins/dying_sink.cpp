// SPDX-License-Identifier: MIT
//
// A sink that takes everything, until a file is there: then it faults where the lock of the allocator is held, which
// nobody survives.
#include <lemonade/sdk/metrics_sink.hpp>

#include <unistd.h>

#include <cstdlib>

namespace {

using namespace lemonade::sdk;

class DyingSink : public MetricsSink {
 public:
  void flush(const Snapshot&, std::uint64_t) {
    const char* const file = std::getenv("LEMONADE_TEST_FATAL");
    void* volatile nowhere = reinterpret_cast<void*>(0x1010);  // no compiler sees what it is
    if (file != nullptr && ::access(file, F_OK) == 0) std::free(nowhere);
  }
};

}  // namespace

LEMONADE_METRICS_SINK(DyingSink, .id = "com.example.dying_sink", .version = "1.0.0", .name = "Dying sink",
                      .vendor = "Example", .doc = "Takes everything, and dies when it is told to.")
