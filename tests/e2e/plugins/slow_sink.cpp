// SPDX-License-Identifier: MIT
//
// A metrics sink that takes its time over everything it hears: what a slow receiver does to the host.
#include <lemonade/sdk/metrics_sink.hpp>

#include <thread>

namespace {

using namespace lemonade::sdk;

class SlowSink : public MetricsSink {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      option("delay", LEMONADE_OPTION_DURATION, "1s", "How long each call takes.", 0, 3'600'000)};

  explicit SlowSink(const Options& options) : delay_(options.duration("delay")) {}

  void flush(const Snapshot&, std::uint64_t) { std::this_thread::sleep_for(delay_); }
  void onHealth(const lemonade_health_event_t&) { std::this_thread::sleep_for(delay_); }
  void onSessions(const SessionBatch&, std::uint64_t) { std::this_thread::sleep_for(delay_); }

 private:
  const std::chrono::nanoseconds delay_;
};

}  // namespace

LEMONADE_METRICS_SINK(SlowSink, .id = "com.example.slow", .version = "1.0.0", .name = "Slow", .vendor = "Example",
                      .doc = "Waits in every call.")
