// SPDX-License-Identifier: MIT
//
// A metrics sink that takes its time over each answer to whoever asks for its metrics.
#include <lemonade/sdk/metrics_sink.hpp>

#include <thread>

namespace {

using namespace lemonade::sdk;

class SlowScrape : public MetricsSink {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      option("delay", LEMONADE_OPTION_DURATION, "1s", "How long each answer takes.", 0, 3'600'000)};

  explicit SlowScrape(const Options& options) : delay_(options.duration("delay")) {}

  std::string_view contentType(std::string_view) noexcept { return "text/plain"; }
  void render(const Snapshot&, std::string_view, Writer writer) {
    std::this_thread::sleep_for(delay_);
    writer.write("slow");
  }

 private:
  const std::chrono::nanoseconds delay_;
};

}  // namespace

LEMONADE_METRICS_SINK(SlowScrape, .id = "com.example.slow-scrape", .version = "1.0.0", .name = "Slow scrape",
                      .vendor = "Example", .doc = "Waits in every answer.")
