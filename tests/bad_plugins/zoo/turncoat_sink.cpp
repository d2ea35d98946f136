// SPDX-License-Identifier: MIT
//
// A metrics sink that renders a number and behaves at first. Then it does one thing wrong.
#include "turn.h"

#include <lemonade/sdk/metrics_sink.hpp>

namespace zoo {

namespace sdk = lemonade::sdk;

class TurncoatSink : public sdk::MetricsSink {
 public:
  void flush(const sdk::Snapshot&, std::uint64_t) {
    if (monotonicNs() - made_ns_ < kTurnsAfter) return;
    if (does("turn_and_crash_in_flush")) crash();
    if (does("turn_and_block_in_flush"))
      for (;;) ::pause();
  }
  std::string_view contentType(std::string_view) noexcept { return "text/plain"; }
  void render(const sdk::Snapshot&, std::string_view, sdk::Writer writer) {
    if (does("turn_and_throw_in_render") && monotonicNs() - made_ns_ >= kTurnsAfter) throwOut();
    writer.write("number 1\n");
  }
  void onHealth(const lemonade_health_event_t&) {}

 private:
  const std::uint64_t made_ns_ = monotonicNs();
};

}  // namespace zoo

LEMONADE_METRICS_SINK(zoo::TurncoatSink, .id = "com.example.turncoat", .version = "1.0.0", .name = "Turncoat",
                      .vendor = "Example", .doc = "Behaves for four seconds.")
