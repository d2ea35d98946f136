// SPDX-License-Identifier: MIT
//
// Writes what happened since the last interval to the log: one line for the balancer, and one for each backend that did
// something, the busiest first. Errors of a backend are connects that failed, resets, and closes before an answer;
// those of the balancer are all of these and the clients that it turned away.
//
// It keeps what the counters said at the last flush, by series id, so every number is a difference; percentiles come
// from the differences of histogram buckets and are those of the interval alone.
#include <array>
#include <cmath>
#include <lemonade/sdk/log_fields.hpp>
#include <lemonade/sdk/metrics_sink.hpp>
#include <map>
#include <unordered_map>
#include <vector>

namespace {

using lemonade::sdk::field;
using lemonade::sdk::view;

/// Samples of one interval, by bucket.
struct Samples {
  std::vector<double> uppers;
  std::vector<std::uint64_t> counts;  ///< not cumulative
  std::uint64_t total = 0;

  /// In seconds, linear within the bucket; the lower bound of the last one.
  double quantile(double share) const noexcept {
    const double rank = share * static_cast<double>(total);
    double below = 0;
    double lower = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const auto count = static_cast<double>(counts[i]);
      if (count > 0 && below + count >= rank)
        return std::isinf(uppers[i]) ? lower : lower + (uppers[i] - lower) * (rank - below) / count;
      below += count;
      lower = uppers[i];
    }
    return lower;
  }
};

struct Row {
  std::string pool;  ///< "" where the host does not say
  std::string backend;
  std::string address;
  bool up = true;
  double active = 0;
  double sessions = 0;
  double exchanges = 0;
  double errors = 0;
  Samples exchange_time;

  bool idle() const noexcept { return active == 0 && sessions == 0 && exchanges == 0 && errors == 0; }
};

class Log : public lemonade::sdk::MetricsSink {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      lemonade::sdk::option("backends", LEMONADE_OPTION_INTEGER, "20",
                            "How many backends get a line of their own at each interval, the busiest first.", 0,
                            100'000),
  };

  Log(lemonade::sdk::Host host, const lemonade::sdk::Options& options)
      : log_(host), lines_(static_cast<std::size_t>(options.integer("backends"))) {}

  void flush(const lemonade::sdk::Snapshot& snapshot, std::uint64_t) {
    const auto& raw = snapshot.raw();
    const double seconds = std::max(1e-3, static_cast<double>(raw.uptime_ns - last_uptime_ns_) / 1e9);
    std::unordered_map<std::uint64_t, double> values;
    std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> buckets;
    values.swap(values_);
    buckets.swap(buckets_);
    const auto rows = read(snapshot, values, buckets);
    last_uptime_ns_ = raw.uptime_ns;
    writeTotal(rows, seconds);
    for (std::size_t i = 0; i < std::min(rows.size(), lines_) && !rows[i].idle(); ++i) writeRow(rows[i], seconds);
  }

 private:
  using OldValues = std::unordered_map<std::uint64_t, double>;
  using OldBuckets = std::unordered_map<std::uint64_t, std::vector<std::uint64_t>>;
  using Fields = std::vector<lemonade_log_field_t>;

  /// The backends of a snapshot, the busiest first; remembers the snapshot for the next time.
  std::vector<Row> read(const lemonade::sdk::Snapshot& snapshot, const OldValues& values, const OldBuckets& buckets) {
    std::map<std::array<std::string_view, 3>, Row> rows;  // by pool, backend and address
    turned_away_ = 0;
    for (std::uint32_t f = 0; f < snapshot.size(); ++f) {
      const auto family = snapshot[f];
      for (std::uint32_t i = 0; i < family.size(); ++i) {
        if (family.name() == "lemonade_proxy_unserved_total") readUnserved(family[i], values);
        std::string_view pool, backend, address;
        for (const auto& label : lemonade::sdk::labels(family[i])) {
          if (view(label.name) == "pool") pool = view(label.value);
          if (view(label.name) == "backend") backend = view(label.value);
          if (view(label.name) == "address") address = view(label.value);
        }
        if (!backend.empty()) readSeries(family, family[i], rows[{pool, backend, address}], values, buckets);
      }
    }
    std::vector<Row> sorted;
    for (auto& [key, row] : rows) {
      row.pool = key[0];
      row.backend = key[1];
      row.address = key[2];
      sorted.push_back(std::move(row));
    }
    std::ranges::stable_sort(sorted, std::ranges::greater{},
                             [](const Row& row) { return row.exchanges + row.sessions + row.active + row.errors; });
    return sorted;
  }

  /// Who left by itself was not turned away.
  void readUnserved(const lemonade_series_t& series, const OldValues& values) {
    const double clients = since(series, values);
    const auto labels = lemonade::sdk::labels(series);
    if (std::ranges::none_of(labels, [](const auto& label) { return view(label.value) == "abandoned"; }))
      turned_away_ += clients;
  }

  void readSeries(const lemonade::sdk::Family& family, const lemonade_series_t& series, Row& row,
                  const OldValues& values, const OldBuckets& buckets) {
    const auto name = family.name();
    if (name == "lemonade_backend_up") row.up = series.value != 0;
    if (name == "lemonade_backend_active_sessions") row.active = series.value;
    if (name == "lemonade_backend_sessions_total") row.sessions += since(series, values);
    if (name == "lemonade_backend_exchanges_total") row.exchanges += since(series, values);
    if (name == "lemonade_backend_connect_failures_total" || name == "lemonade_backend_resets_total" ||
        name == "lemonade_backend_early_closes_total")
      row.errors += since(series, values);
    if (name == "lemonade_backend_exchange_seconds") row.exchange_time = samplesSince(series, buckets);
  }

  double since(const lemonade_series_t& series, const OldValues& values) {
    values_[series.id] = series.value;
    const auto old = values.find(series.id);
    // A counter that went back belongs to a backend that left and came again.
    return old == values.end() || old->second > series.value ? series.value : series.value - old->second;
  }

  Samples samplesSince(const lemonade_series_t& series, const OldBuckets& buckets) {
    Samples samples;
    std::vector<std::uint64_t> now;
    std::uint64_t below = 0;
    for (const auto& bucket : lemonade::sdk::buckets(series)) {
      samples.uppers.push_back(bucket.upper);
      now.push_back(bucket.cumulative - below);
      below = bucket.cumulative;
    }
    const auto old = buckets.find(series.id);
    samples.counts = now;
    if (old != buckets.end() && old->second.size() == now.size())
      for (std::size_t i = 0; i < now.size(); ++i) samples.counts[i] -= std::min(now[i], old->second[i]);
    for (const auto count : samples.counts) samples.total += count;
    buckets_[series.id] = std::move(now);
    return samples;
  }

  void writeTotal(const std::vector<Row>& rows, double seconds) const {
    Row total;
    std::size_t up = 0;
    for (const auto& row : rows) {
      up += row.up ? 1 : 0;
      total.active += row.active;
      total.sessions += row.sessions;
      total.exchanges += row.exchanges;
      total.errors += row.errors;
    }
    total.errors += turned_away_;
    Fields fields = {field("backends", rows.size()), field("up", up)};
    addTraffic(fields, total, seconds);
    log_.write(LEMONADE_LOG_INFO, "total", fields);
  }

  void writeRow(const Row& row, double seconds) const {
    Fields fields = {field("backend", row.backend), field("address", row.address),
                     field("state", std::string_view(row.up ? "up" : "down"))};
    if (!row.pool.empty()) fields.insert(fields.begin(), field("pool", row.pool));
    addTraffic(fields, row, seconds);
    if (row.exchange_time.total > 0) {
      fields.push_back(field("exchange_p50_ms", row.exchange_time.quantile(0.5) * 1e3, 2));
      fields.push_back(field("exchange_p95_ms", row.exchange_time.quantile(0.95) * 1e3, 2));
      fields.push_back(field("exchange_p99_ms", row.exchange_time.quantile(0.99) * 1e3, 2));
    }
    log_.write(LEMONADE_LOG_INFO, "", fields);
  }

  static void addTraffic(Fields& fields, const Row& row, double seconds) {
    fields.push_back(field("active", std::llround(row.active)));
    fields.push_back(field("sessions", std::llround(row.sessions)));
    fields.push_back(field("exchanges_per_second", row.exchanges / seconds, 1));
    fields.push_back(field("errors", std::llround(row.errors)));
  }

  const lemonade::sdk::FieldLog log_;
  const std::size_t lines_;
  OldValues values_;
  OldBuckets buckets_;
  double turned_away_ = 0;  // clients that ended without a backend since the last flush, and wanted one
  std::uint64_t last_uptime_ns_ = 0;
};

}  // namespace

LEMONADE_METRICS_SINK(Log, .id = "log", .version = "1.0.0", .name = "Log", .vendor = "Lemonade",
                      .doc = "Writes sessions, rates, errors and percentiles of each interval to the log.",
                      .flags = LEMONADE_FLAG_UNLOAD_SAFE)
