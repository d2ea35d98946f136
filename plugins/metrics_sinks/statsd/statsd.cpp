// SPDX-License-Identifier: MIT
//
// Sends every metric to a statsd server, once an interval: counters as what came since the last time, gauges as they
// are, histograms as timers or as percentiles. Lines are gathered into datagrams. What happened before the sink was
// made is not sent, so a reload counts nothing twice; what cannot be sent is lost, as ever with statsd, and counted.
#include "intervals.h"
#include "line.h"

#include <lemonade/sdk/metrics_sink.hpp>

#include <datagrams/server.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

namespace lemonade::statsd {
namespace {

using datagrams::Address, datagrams::Sent, datagrams::Server;

/// A server is waited for at most so long in one flush: for a name, and where a Unix socket is full.
constexpr std::chrono::nanoseconds kPatience = std::chrono::seconds(1);

/// Seconds in milliseconds, to the nanosecond.
double millis(double seconds) noexcept { return std::round(seconds * 1e9) / 1e6; }

Address addressOf(const sdk::Options& options) {
  try {
    return Address::parse(options.text("address"));
  } catch (const std::invalid_argument& e) {
    throw sdk::OptionError("address", e.what());
  }
}

class Statsd : public sdk::MetricsSink {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("address", LEMONADE_OPTION_STRING, "127.0.0.1:8125",
                  "The server: \"host:port\" or \"[IPv6]:port\" of UDP, or \"unix:/path\"."),
      sdk::option("prefix", LEMONADE_OPTION_STRING, "", "What every name begins with, such as \"lb1.\"."),
      sdk::option("tags", LEMONADE_OPTION_CHOICE, "none",
                  "Labels as parts of the name, or as tags in the way of dogstatsd or influx.", 0, 0,
                  "none,dogstatsd,influx"),
      sdk::option("histograms", LEMONADE_OPTION_CHOICE, "timers",
                  "Histograms as timers with sample rates, or as a counter and three percentiles of the interval.", 0,
                  0, "timers,percentiles"),
      sdk::option("packet_bytes", LEMONADE_OPTION_INTEGER, "1432",
                  "How large a datagram may be; what exceeds the network's MTU may get lost.", 512, 65507),
      sdk::option("resolve_interval", LEMONADE_OPTION_DURATION, "60s",
                  "How often the name of the server is looked up again.", 1'000, 86'400'000),
  };

  Statsd(sdk::Host host, const sdk::Options& options)
      : host_(host),
        server_(addressOf(options), options.duration("resolve_interval")),
        prefix_(options.text("prefix")),
        tags_(tagsOf(options.text("tags"))),
        percentiles_(options.text("histograms") == "percentiles"),
        packet_bytes_(static_cast<std::size_t>(options.integer("packet_bytes"))),
        dropped_(host.metric(LEMONADE_METRIC_COUNTER, "statsd_datagrams_dropped_total",
                             "Datagrams that the statsd server did not get, as far as the network says so.")),
        too_long_(host.metric(LEMONADE_METRIC_COUNTER, "statsd_lines_too_long_total",
                              "Lines that were left out because they fit into no datagram.")) {
    if (mendedName(prefix_) != prefix_)
      throw sdk::OptionError("prefix", "give letters, digits, \".\", \"_\" and \"-\" only");
  }

  void flush(const sdk::Snapshot& snapshot, std::uint64_t deadline_ns) {
    const auto now_ns = host_.nowNs();
    give_up_ns_ = std::min(deadline_ns, now_ns + static_cast<std::uint64_t>(kPatience.count()));
    problem_.clear();
    lost_ = false;
    intervals_.begin();
    open(now_ns);
    for (std::uint32_t f = 0; f < snapshot.size(); ++f) {
      const auto family = snapshot[f];
      for (std::uint32_t i = 0; i < family.size(); ++i) addSeries(family, family[i]);
    }
    sendPacket();
    if (problem_.empty()) return;
    server_.doubt();  // it may have moved
    throw std::runtime_error(problem_);
  }

 private:
  void open(std::uint64_t now_ns) {
    try {
      server_.open(now_ns, left());
    } catch (const std::exception& e) {  // also that there can be no thread
      problem_ = e.what();
      lost_ = true;
    }
  }

  void addSeries(const sdk::Family& family, const lemonade_series_t& series) {
    const SeriesName name(tags_, prefix_, family.name(), series);
    switch (family.type()) {
      case LEMONADE_METRIC_COUNTER:
        if (const double count = intervals_.growth(series); count > 0) add(name.line("", count, "c"));
        break;
      case LEMONADE_METRIC_GAUGE:
        addGauge(name, "", series.value);
        break;
      case LEMONADE_METRIC_HISTOGRAM:
        percentiles_ ? addPercentiles(name, intervals_.samples(series)) : addTimers(name, intervals_.samples(series));
        break;
      default:
        break;  // a later host's
    }
  }

  void addGauge(const SeriesName& name, std::string_view suffix, double value) {
    if (!std::isfinite(value)) return;
    // But for dogstatsd a sign means a change: go down from 0.
    if (value < 0 && tags_ != Tags::dogstatsd) add(name.line(suffix, 0, "g"));
    add(name.line(suffix, value, "g"));
  }

  /// One timer for each bucket that got samples: as slow as its upper end, as many as there are new.
  void addTimers(const SeriesName& name, const Samples& samples) {
    for (std::size_t i = 0; i < samples.counts.size(); ++i)
      if (samples.counts[i] > 0) add(name.line("", millis(samples.end(i)), "ms", 1 / samples.counts[i]));
  }

  void addPercentiles(const SeriesName& name, const Samples& samples) {
    if (samples.total <= 0) return;
    add(name.line(".count", samples.total, "c"));
    constexpr std::array<std::pair<std::string_view, double>, 3> kShares = {
        {{".p50", 0.5}, {".p95", 0.95}, {".p99", 0.99}}};
    for (const auto& [suffix, share] : kShares) addGauge(name, suffix, millis(samples.quantile(share)));
  }

  /// Lines go into one datagram while they fit.
  void add(const std::string& line) {
    if (line.size() > packet_bytes_) return lemonade_metric_add(too_long_, 1);
    if (!packet_.empty() && packet_.size() + 1 + line.size() > packet_bytes_) sendPacket();
    if (!packet_.empty()) packet_ += '\n';
    packet_ += line;
  }

  void sendPacket() {
    const std::string packet = std::exchange(packet_, {});
    if (packet.empty()) return;
    if (lost_) return lemonade_metric_add(dropped_, 1);
    auto sent = server_.send(packet, left());
    if (sent == Sent::refused) {
      lose();
      sent = server_.send(packet, left());
    }
    if (sent == Sent::yes) return;
    lose();
    lost_ = true;
  }

  void lose() {
    if (problem_.empty()) problem_ = server_.reason();
    lemonade_metric_add(dropped_, 1);
  }

  std::chrono::nanoseconds left() const noexcept {
    const auto now_ns = host_.nowNs();
    return std::chrono::nanoseconds(now_ns < give_up_ns_ ? give_up_ns_ - now_ns : 0);
  }

  const sdk::Host host_;
  Server server_;
  const std::string prefix_;
  const Tags tags_;
  const bool percentiles_;
  const std::size_t packet_bytes_;
  lemonade_metric_cell_t* const dropped_;
  lemonade_metric_cell_t* const too_long_;

  Intervals intervals_;
  std::string packet_;   // what is gathered for the next datagram
  std::string problem_;  // the first of this flush
  bool lost_ = false;    // nothing more is tried in this flush
  std::uint64_t give_up_ns_ = 0;
};

}  // namespace
}  // namespace lemonade::statsd

// A look-up that hangs leaves a thread behind: the image stays.
LEMONADE_METRICS_SINK(lemonade::statsd::Statsd, .id = "statsd", .version = "1.0.0", .name = "statsd",
                      .vendor = "Lemonade", .doc = "Sends every metric to a statsd server over UDP or a Unix socket.")
