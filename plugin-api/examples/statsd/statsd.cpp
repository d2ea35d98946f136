// SPDX-License-Identifier: MIT
//
// Sends every metric to a statsd server over UDP, once an interval: counters as what came since the last time, gauges
// as they are, histograms as timers in milliseconds, with the number of samples of a bucket as its rate. Lines are
// gathered into datagrams. What happened before the sink was made is not sent, so a reload counts nothing twice; what
// cannot be sent is lost, as ever with statsd.
//
// Here to be read: a push sink with options, differences by series id, the deadline of a flush.
#include "socket.h"

#include <lemonade/sdk/metrics_sink.hpp>

#include <charconv>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

namespace sdk = lemonade::sdk;

/// Digits without an exponent, which some servers do not read.
std::string digits(double value) {
  char text[400];
  return {text, std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed).ptr};
}

/// A label's value as a part of a name; dots would begin another part, colons end the name.
std::string part(std::string_view text) {
  std::string made(text);
  for (char& c : made) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    if (!plain) c = '_';
  }
  return made;
}

class Statsd : public sdk::MetricsSink {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("host", LEMONADE_OPTION_STRING, "127.0.0.1", "The server: a name or an address."),
      sdk::option("port", LEMONADE_OPTION_INTEGER, "8125", "Its UDP port.", 1, 65535),
      sdk::option("prefix", LEMONADE_OPTION_STRING, "", "What every name begins with, such as \"lb1.\"."),
      sdk::option("datagram_bytes", LEMONADE_OPTION_INTEGER, "1432",
                  "How large a datagram may be; what exceeds the network's MTU may get lost.", 512, 65507),
  };

  Statsd(sdk::Host host, const sdk::Options& options)
      : host_(host),
        server_(options.text("host")),
        port_(static_cast<std::uint16_t>(options.integer("port"))),
        prefix_(options.text("prefix")),
        datagram_bytes_(static_cast<std::size_t>(options.integer("datagram_bytes"))),
        too_long_(host.metric(LEMONADE_METRIC_COUNTER, "statsd_lines_too_long_total",
                              "Lines that were left out because they fit into no datagram.")) {
    if (prefix_.find_first_of(":|@\n") != std::string::npos)
      throw sdk::OptionError("prefix", "leave out \":\", \"|\", \"@\" and line breaks");
  }

  void flush(const sdk::Snapshot& snapshot, std::uint64_t deadline_ns) {
    // Remembered before anything is sent: what a failing network loses must not be counted twice instead.
    const std::string lines = difference(snapshot);
    try {
      send(lines, deadline_ns);
    } catch (...) {
      socket_.reset();  // the server may have moved: looked up again the next time
      throw;            // the SDK tells the host, which counts and logs it
    }
  }

 private:
  /// By the id of a series: the value of a counter, or the samples in each bucket of a histogram.
  using Counts = std::unordered_map<std::uint64_t, std::vector<double>>;

  /// All that is to be sent, one line each; remembers the snapshot for the next time.
  std::string difference(const sdk::Snapshot& snapshot) {
    std::string lines;
    const Counts before = std::exchange(counts_, {});
    for (std::uint32_t f = 0; f < snapshot.size(); ++f) {
      const auto family = snapshot[f];
      for (std::uint32_t i = 0; i < family.size(); ++i) {
        const auto& series = family[i];
        const auto name = nameOf(family, series);
        switch (family.type()) {
          case LEMONADE_METRIC_COUNTER:
            addCount(lines, name, since(before, series, series.value));
            break;
          case LEMONADE_METRIC_GAUGE:
            addGauge(lines, name, series.value);
            break;
          case LEMONADE_METRIC_HISTOGRAM:
            addTimes(lines, name, before, series);
            break;
          default:
            break;  // a later host's
        }
      }
    }
    first_ = false;
    return lines;
  }

  std::string nameOf(const sdk::Family& family, const lemonade_series_t& series) const {
    std::string name = prefix_ + std::string(family.name());
    for (const auto& label : sdk::labels(series)) name.append(".").append(part(sdk::view(label.value)));
    return name;
  }

  /// How much the next number of a series has grown. One that was not there before began at 0; one that shrank began
  /// anew.
  double since(const Counts& before, const lemonade_series_t& series, double now) {
    auto& numbers = counts_[series.id];
    numbers.push_back(now);
    if (first_) return 0;
    const auto old = before.find(series.id);
    if (old == before.end() || old->second.size() < numbers.size()) return now;
    const double then = old->second[numbers.size() - 1];
    return then > now ? now : now - then;
  }

  void addCount(std::string& lines, const std::string& name, double count) {
    if (count > 0 && std::isfinite(count)) add(lines, name + ":" + digits(count) + "|c");
  }

  void addGauge(std::string& lines, const std::string& name, double value) {
    if (!std::isfinite(value)) return;
    if (value < 0) add(lines, name + ":0|g");  // a sign means a change: go down from 0
    add(lines, name + ":" + digits(value) + "|g");
  }

  /// One timer for each bucket that got samples: as slow as its upper end, as many as there are new.
  void addTimes(std::string& lines, const std::string& name, const Counts& before, const lemonade_series_t& series) {
    std::uint64_t below = 0;
    double upper = 0;
    for (std::uint32_t i = 0; i < series.bucket_count; ++i) {
      const auto& bucket = series.buckets[i];
      const auto inside = static_cast<double>(bucket.cumulative - std::exchange(below, bucket.cumulative));
      if (std::isfinite(bucket.upper)) upper = bucket.upper;  // the last one has no end: the one before it is near
      const double samples = since(before, series, inside);
      if (samples <= 0) continue;
      auto line = name + ":" + digits(upper * 1000) + "|ms";
      if (samples > 1) line.append("|@").append(digits(1 / samples));
      add(lines, line);
    }
  }

  void add(std::string& lines, const std::string& line) {
    if (line.size() < datagram_bytes_)
      lines.append(line).append("\n");
    else
      lemonade_metric_add(too_long_, 1);
  }

  /// In datagrams of whole lines, as few as they fit into.
  void send(std::string_view lines, std::uint64_t deadline_ns) {
    if (!lines.empty() && !socket_) socket_.emplace(server_, port_);
    while (!lines.empty()) {
      if (host_.nowNs() > deadline_ns) throw std::runtime_error("out of time; the rest of this interval is lost");
      auto datagram = lines.substr(0, datagram_bytes_);
      datagram = datagram.substr(0, datagram.rfind('\n') + 1);
      lines.remove_prefix(datagram.size());
      socket_->send(datagram);
    }
  }

  const sdk::Host host_;
  const std::string server_;
  const std::uint16_t port_;
  const std::string prefix_;
  const std::size_t datagram_bytes_;
  lemonade_metric_cell_t* const too_long_;

  std::optional<Socket> socket_;  // made at the first flush, which may wait for a name; the constructor may not
  Counts counts_;                 // of the snapshot before
  bool first_ = true;
};

}  // namespace

LEMONADE_METRICS_SINK(Statsd, .id = "com.example.statsd", .version = "1.0.0", .name = "statsd", .vendor = "Example",
                      .doc = "Sends every metric to a statsd server over UDP.")
