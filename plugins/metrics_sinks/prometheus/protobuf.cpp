// SPDX-License-Identifier: MIT
#include "protobuf.h"

#include <protozero/pbf_builder.hpp>
#include <protozero/varint.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

namespace prometheus {

namespace {

using lemonade::sdk::view;

// The numbers of fields are those of prometheus/client_model, io/prometheus/client/metrics.proto.
enum class MetricFamily : protozero::pbf_tag_type { kName = 1, kHelp = 2, kType = 3, kMetric = 4 };
enum class Metric : protozero::pbf_tag_type { kLabel = 1, kGauge = 2, kCounter = 3, kUntyped = 5, kHistogram = 7 };
enum class LabelPair : protozero::pbf_tag_type { kName = 1, kValue = 2 };
enum class Number : protozero::pbf_tag_type { kValue = 1 };
enum class Bucket : protozero::pbf_tag_type { kCumulativeCount = 1, kUpperBound = 2 };
enum class BucketSpan : protozero::pbf_tag_type { kOffset = 1, kLength = 2 };
enum class Histogram : protozero::pbf_tag_type {
  kSampleCount = 1,
  kSampleSum = 2,
  kBucket = 3,
  kSchema = 5,
  kZeroThreshold = 6,
  kZeroCount = 7,
  kPositiveSpan = 12,
  kPositiveDelta = 13,
};
enum Type : std::int32_t { kCounter = 0, kGauge = 1, kUntyped = 3, kHistogram = 4 };

constexpr std::int32_t kSchema = 5;      // buckets whose upper bounds are powers of 2^(1/32)
constexpr double kZeroThreshold = 1e-5;  // the upper end of the host's first bucket

std::int32_t typeOf(std::uint32_t type) noexcept {
  switch (type) {
    case LEMONADE_METRIC_COUNTER:
      return kCounter;
    case LEMONADE_METRIC_GAUGE:
      return kGauge;
    case LEMONADE_METRIC_HISTOGRAM:
      return kHistogram;
    default:
      return kUntyped;
  }
}

/// The native bucket around the middle of one of the host's; of the last, which has no end, the one above its start.
std::int32_t indexOf(const lemonade_fine_bucket_t& bucket) noexcept {
  const double middle = std::isinf(bucket.upper) ? bucket.lower * 1.1 : std::sqrt(bucket.lower * bucket.upper);
  return static_cast<std::int32_t>(std::ceil(std::ldexp(std::log2(middle), kSchema)));
}

void addBuckets(protozero::pbf_builder<Histogram>& out, std::span<const lemonade_bucket_t> buckets) {
  for (const auto& one : buckets) {
    protozero::pbf_builder<Bucket> bucket(out, Histogram::kBucket);
    bucket.add_uint64(Bucket::kCumulativeCount, one.cumulative);
    bucket.add_double(Bucket::kUpperBound, one.upper);
  }
}

/// Buckets that follow each other share a span; each count is said as the difference to the one before.
void addNative(protozero::pbf_builder<Histogram>& out, std::span<const lemonade_fine_bucket_t> fine) {
  out.add_sint32(Histogram::kSchema, kSchema);
  out.add_double(Histogram::kZeroThreshold, kZeroThreshold);
  const bool has_zero = !fine.empty() && fine.front().lower <= 0;
  out.add_uint64(Histogram::kZeroCount, has_zero ? fine.front().count : 0);
  if (has_zero) fine = fine.subspan(1);
  std::vector<std::int64_t> deltas;
  std::int64_t before = 0;
  std::int32_t next = 0;  // the index after the last span, 0 before the first
  for (std::size_t i = 0; i < fine.size();) {
    const std::int32_t first = indexOf(fine[i]);
    std::uint32_t length = 0;
    for (; i < fine.size() && indexOf(fine[i]) == first + static_cast<std::int32_t>(length); ++i, ++length) {
      const auto count = static_cast<std::int64_t>(fine[i].count);
      deltas.push_back(count - before);
      before = count;
    }
    protozero::pbf_builder<BucketSpan> span(out, Histogram::kPositiveSpan);
    span.add_sint32(BucketSpan::kOffset, first - next);
    span.add_uint32(BucketSpan::kLength, length);
    next = first + static_cast<std::int32_t>(length);
  }
  // Packed or not, readers take both.
  out.add_packed_sint64(Histogram::kPositiveDelta, deltas.begin(), deltas.end());
}

void addValue(protozero::pbf_builder<Metric>& out, Metric field, double value) {
  protozero::pbf_builder<Number> number(out, field);
  number.add_double(Number::kValue, value);
}

void addMetric(protozero::pbf_builder<MetricFamily>& out, const lemonade::sdk::Family& family, std::uint32_t index) {
  const auto& series = family[index];
  protozero::pbf_builder<Metric> metric(out, MetricFamily::kMetric);
  for (const auto& label : lemonade::sdk::labels(series)) {
    protozero::pbf_builder<LabelPair> pair(metric, Metric::kLabel);
    pair.add_string(LabelPair::kName, std::string(view(label.name)));
    pair.add_string(LabelPair::kValue, std::string(view(label.value)));
  }
  switch (typeOf(family.type())) {
    case kCounter:
      return addValue(metric, Metric::kCounter, series.value);
    case kGauge:
      return addValue(metric, Metric::kGauge, series.value);
    case kHistogram: {
      protozero::pbf_builder<Histogram> histogram(metric, Metric::kHistogram);
      histogram.add_uint64(Histogram::kSampleCount, series.count);
      histogram.add_double(Histogram::kSampleSum, series.value);
      addBuckets(histogram, lemonade::sdk::buckets(series));
      return addNative(histogram, family.fineBuckets(index));
    }
    default:
      return addValue(metric, Metric::kUntyped, series.value);
  }
}

std::string_view trimmed(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Takes what is before the separator off the text.
std::string_view takeUntil(std::string_view& text, char separator) noexcept {
  const auto end = std::min(text.find(separator), text.size());
  const auto part = trimmed(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

double qualityOf(std::string_view text) noexcept {
  double quality = 0;
  std::from_chars(text.data(), text.data() + text.size(), quality);
  return quality;
}

}  // namespace

bool prefersProtobuf(std::string_view accept) {
  double protobuf = 0, text = 0;
  while (!accept.empty()) {
    std::string_view range = takeUntil(accept, ',');
    const auto type = takeUntil(range, ';');
    double quality = 1;
    bool families = false, delimited = false;
    while (!range.empty()) {
      const auto parameter = takeUntil(range, ';');
      if (parameter.starts_with("q=")) quality = qualityOf(parameter.substr(2));
      families = families || parameter == "proto=io.prometheus.client.MetricFamily";
      delimited = delimited || parameter == "encoding=delimited";
    }
    if (type == "application/vnd.google.protobuf" && families && delimited) protobuf = std::max(protobuf, quality);
    if (type == "text/plain" || type == "text/*") text = std::max(text, quality);
  }
  return protobuf > 0 && protobuf >= text;
}

void appendFamily(std::string& out, const lemonade::sdk::Family& family) {
  std::string message;
  protozero::pbf_builder<MetricFamily> builder(message);
  builder.add_string(MetricFamily::kName, std::string(family.name()));
  builder.add_string(MetricFamily::kHelp, std::string(family.help()));
  builder.add_enum(MetricFamily::kType, typeOf(family.type()));
  for (std::uint32_t i = 0; i < family.size(); ++i) addMetric(builder, family, i);
  protozero::write_varint(std::back_inserter(out), message.size());
  out += message;
}

}  // namespace prometheus
