// SPDX-License-Identifier: MIT
#include "request.h"

#include <rapidjson/document.h>
#include <rapidjson/writer.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <new>
#include <utility>

namespace lemonade::otlp {

namespace {

/// RapidJSON writes to what its allocator returns without a look, so this one never returns null.
struct Allocator {
  static constexpr bool kNeedFree = true;
  void* Malloc(std::size_t size) { return size == 0 ? nullptr : checked(std::malloc(size)); }
  void* Realloc(void* old, std::size_t, std::size_t size) {
    if (size != 0) return checked(std::realloc(old, size));
    std::free(old);
    return nullptr;
  }
  static void Free(void* memory) { std::free(memory); }

 private:
  static void* checked(void* memory) { return memory == nullptr ? throw std::bad_alloc() : memory; }
};

/// A stream of RapidJSON into a string.
struct StringStream {
  using Ch = char;
  void Put(char c) { text.push_back(c); }
  void Flush() {}
  std::string text;
};

using Json = rapidjson::Writer<StringStream, rapidjson::UTF8<>, rapidjson::UTF8<>, Allocator>;

constexpr int kCumulative = 2;  // AGGREGATION_TEMPORALITY_CUMULATIVE

void key(Json& json, std::string_view name) { json.Key(name.data(), static_cast<rapidjson::SizeType>(name.size())); }

void text(Json& json, std::string_view name, std::string_view value) {
  key(json, name);
  json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
}

/// 64 bits are text in the JSON of protobuf.
void whole(Json& json, std::uint64_t number) {
  char digits[24];
  const auto* const end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  json.String(digits, static_cast<rapidjson::SizeType>(end - digits));
}

void whole(Json& json, std::string_view name, std::uint64_t number) {
  key(json, name);
  whole(json, number);
}

void attribute(Json& json, std::string_view name, std::string_view value) {
  json.StartObject();
  text(json, "key", name);
  key(json, "value");
  json.StartObject();
  text(json, "stringValue", value);
  json.EndObject();
  json.EndObject();
}

/// The unit that a name of Prometheus' conventions ends in, as UCUM has it; "" where it has none.
std::string_view unitOf(std::string_view name) noexcept {
  constexpr std::string_view kTotal = "_total";
  if (name.ends_with(kTotal)) name.remove_suffix(kTotal.size());
  if (name.ends_with("_seconds")) return "s";
  return name.ends_with("_bytes") ? "By" : "";
}

/// Requests as they are written: one metric and one request at a time are open.
class Requests {
 public:
  Requests(const Pairs& resource, std::string version, std::uint64_t time_ns, std::size_t most_points,
           const std::function<void(const std::string&)>& take)
      : resource_(resource), version_(std::move(version)), time_ns_(time_ns), most_points_(most_points), take_(take) {}

  void add(const sdk::Family& family, StartTimes& starts) {
    for (std::uint32_t i = 0; i < family.size(); ++i) {
      const auto& series = family[i];
      const auto type = family.type();
      if (type < LEMONADE_METRIC_COUNTER || type > LEMONADE_METRIC_HISTOGRAM) return;  // a later host's
      // Asked also of what is left out, which is remembered.
      const auto start_ns = type == LEMONADE_METRIC_GAUGE ? 0 : starts.of(series);
      if (!std::isfinite(series.value)) continue;
      if (points_ == 0) openRequest();
      if (!in_metric_) openMetric(family);
      point(series, type, start_ns);
      if (++points_ == most_points_) finish();
    }
    if (in_metric_) closeMetric();
  }

  /// Hands on what is open.
  void finish() {
    if (points_ == 0) return;
    if (in_metric_) closeMetric();
    json_.EndArray();
    json_.EndObject();
    json_.EndArray();
    json_.EndObject();
    json_.EndArray();
    json_.EndObject();
    points_ = 0;
    take_(out_.text);
  }

 private:
  void openRequest() {
    out_.text.clear();
    json_.Reset(out_);
    json_.StartObject();
    key(json_, "resourceMetrics");
    json_.StartArray();
    json_.StartObject();
    key(json_, "resource");
    json_.StartObject();
    key(json_, "attributes");
    json_.StartArray();
    for (const auto& [name, value] : resource_) attribute(json_, name, value);
    json_.EndArray();
    json_.EndObject();
    key(json_, "scopeMetrics");
    json_.StartArray();
    json_.StartObject();
    key(json_, "scope");
    json_.StartObject();
    text(json_, "name", "lemonade");
    if (!version_.empty()) text(json_, "version", version_);
    json_.EndObject();
    key(json_, "metrics");
    json_.StartArray();
  }

  void openMetric(const sdk::Family& family) {
    in_metric_ = true;
    type_ = family.type();
    json_.StartObject();
    text(json_, "name", family.name());
    text(json_, "description", family.help());
    if (const auto unit = unitOf(family.name()); !unit.empty()) text(json_, "unit", unit);
    key(json_, type_ == LEMONADE_METRIC_COUNTER ? "sum" : type_ == LEMONADE_METRIC_GAUGE ? "gauge" : "histogram");
    json_.StartObject();
    if (type_ != LEMONADE_METRIC_GAUGE) {
      key(json_, "aggregationTemporality");
      json_.Int(kCumulative);
    }
    if (type_ == LEMONADE_METRIC_COUNTER) {
      key(json_, "isMonotonic");
      json_.Bool(true);
    }
    key(json_, "dataPoints");
    json_.StartArray();
  }

  void closeMetric() {
    in_metric_ = false;
    json_.EndArray();
    json_.EndObject();
    json_.EndObject();
  }

  void point(const lemonade_series_t& series, std::uint32_t type, std::uint64_t start_ns) {
    json_.StartObject();
    key(json_, "attributes");
    json_.StartArray();
    for (const auto& label : sdk::labels(series)) attribute(json_, sdk::view(label.name), sdk::view(label.value));
    json_.EndArray();
    if (type != LEMONADE_METRIC_GAUGE) whole(json_, "startTimeUnixNano", start_ns);
    whole(json_, "timeUnixNano", time_ns_);
    if (type == LEMONADE_METRIC_HISTOGRAM) {
      buckets(series);
    } else {
      key(json_, "asDouble");
      json_.Double(series.value);
    }
    json_.EndObject();
  }

  /// Both sides take the upper bound of a bucket as part of it; here each bucket counts its own samples only, and the
  /// last bound, which is infinite, is not said.
  void buckets(const lemonade_series_t& series) {
    whole(json_, "count", series.count);
    key(json_, "sum");
    json_.Double(series.value);
    key(json_, "bucketCounts");
    json_.StartArray();
    std::uint64_t below = 0;
    for (const auto& bucket : sdk::buckets(series))
      whole(json_, bucket.cumulative - std::exchange(below, bucket.cumulative));
    json_.EndArray();
    key(json_, "explicitBounds");
    json_.StartArray();
    for (const auto& bucket : sdk::buckets(series))
      if (std::isfinite(bucket.upper)) json_.Double(bucket.upper);
    json_.EndArray();
  }

  const Pairs& resource_;
  const std::string version_;
  const std::uint64_t time_ns_;
  const std::size_t most_points_;
  const std::function<void(const std::string&)>& take_;

  StringStream out_;
  Json json_;
  std::size_t points_ = 0;  // in the open request; 0: none is open
  bool in_metric_ = false;
  std::uint32_t type_ = 0;  // of the open metric
};

using Document = rapidjson::GenericDocument<rapidjson::UTF8<>, rapidjson::MemoryPoolAllocator<Allocator>, Allocator>;

/// The member of an object; null where there is none.
const Document::ValueType* member(const Document::ValueType& value, const char* name) {
  if (!value.IsObject()) return nullptr;
  const auto found = value.FindMember(name);
  return found == value.MemberEnd() ? nullptr : &found->value;
}

}  // namespace

std::string versionIn(const sdk::Snapshot& snapshot) {
  for (std::uint32_t f = 0; f < snapshot.size(); ++f) {
    const auto family = snapshot[f];
    if (family.name() != "lemonade_build_info" || family.size() == 0) continue;
    for (const auto& label : sdk::labels(family[0]))
      if (sdk::view(label.name) == "version") return std::string(sdk::view(label.value));
  }
  return {};
}

void writeRequests(const sdk::Snapshot& snapshot, const Pairs& resource, StartTimes& starts, std::size_t most_points,
                   const std::function<void(const std::string&)>& take) {
  starts.begin(snapshot);
  Requests requests(resource, versionIn(snapshot), snapshot.raw().unix_ns, most_points, take);
  for (std::uint32_t f = 0; f < snapshot.size(); ++f) requests.add(snapshot[f], starts);
  requests.finish();
}

PartialSuccess partialSuccessIn(const std::string& answer) {
  PartialSuccess partial;
  Document document;
  // Iterative: an answer may be nested as deep as it is long.
  document.Parse<rapidjson::kParseIterativeFlag>(answer.data(), answer.size());
  if (document.HasParseError()) return partial;
  const auto* const said = member(document, "partialSuccess");
  if (said == nullptr) return partial;
  if (const auto* const message = member(*said, "errorMessage"); message != nullptr && message->IsString())
    partial.message.assign(message->GetString(), message->GetStringLength());
  if (const auto* const rejected = member(*said, "rejectedDataPoints"); rejected != nullptr) {
    if (rejected->IsInt64()) partial.rejected = rejected->GetInt64();
    if (rejected->IsString()) {
      const char* const digits = rejected->GetString();
      std::from_chars(digits, digits + rejected->GetStringLength(), partial.rejected);
    }
  }
  return partial;
}

}  // namespace lemonade::otlp
