// SPDX-License-Identifier: MIT
//
// A sink that behaves at first and then does not: in what it is fed, or in what it writes for readers.
#include "misdeed.h"

#include <lemonade/sdk/metrics_sink.hpp>

namespace {

using namespace lemonade::sdk;

class LateSink : public MetricsSink {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      late::Misdeed::kWhen, late::Misdeed::kWhat,
      option("in", LEMONADE_OPTION_STRING, "flush", "The function that does it: flush or render.")};

  explicit LateSink(const Options& options) : misdeed_(options), in_render_(options.text("in") == "render") {}

  void flush(const Snapshot&, std::uint64_t) {
    if (!in_render_) misdeed_.act();
  }
  std::string_view contentType(std::string_view) noexcept { return "text/plain"; }
  void render(const Snapshot&, std::string_view, Writer writer) {
    if (in_render_) misdeed_.act();
    writer.write("late 1\n");
  }

 private:
  const late::Misdeed misdeed_;
  const bool in_render_;
};

}  // namespace

LEMONADE_METRICS_SINK(LateSink, .id = "com.example.late_sink", .version = LATE_VERSION, .name = "Late sink",
                      .vendor = "Example", .doc = "Behaves until a file appears.")
