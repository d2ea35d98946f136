// SPDX-License-Identifier: MIT
#include "support/sink_fixture.h"

#include <dlfcn.h>
#include <lemonade/sdk/plugin.hpp>

#include <functional>
#include <stdexcept>

namespace lemonade::test {
namespace {

using sdk::str;

std::string text(lemonade_str_t value) { return std::string(sdk::view(value)); }

std::uint64_t monotonicNs() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

/// A default as the host reads it: durations have a unit, those of tests are milliseconds.
std::int64_t integerOf(const std::string& value, std::uint32_t type) {
  const auto number = std::stoll(value);
  if (type != LEMONADE_OPTION_DURATION) return number;
  const bool seconds = value.back() == 's' && value.find("ms") == std::string::npos;
  return number * (seconds ? 1'000'000'000 : 1'000'000);
}

}  // namespace

SnapshotText& SnapshotText::family(const std::string& name, std::uint32_t type) {
  families_.push_back({name, type, {}, {}});
  return *this;
}

SnapshotText& SnapshotText::series(double value, const Labels& labels) {
  families_.back().series.push_back({labels, {}, {}, value, 0});
  return *this;
}

SnapshotText& SnapshotText::series(const std::vector<std::pair<double, std::uint64_t>>& buckets, double sum,
                                   const Labels& labels) {
  Series one{labels, {}, {}, sum, 0};
  for (const auto& [upper, samples] : buckets) one.buckets.push_back({upper, one.count += samples});
  families_.back().series.push_back(std::move(one));
  return *this;
}

SnapshotText& SnapshotText::at(std::uint64_t unix_ns, std::uint64_t uptime_ns) {
  unix_ns_ = unix_ns;
  uptime_ns_ = uptime_ns;
  return *this;
}

SinkFixture::SinkFixture(const std::string& path, const std::map<std::string, std::string>& options) {
  image_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (image_ == nullptr) throw std::runtime_error(dlerror());
  const auto* plugin = static_cast<const lemonade_plugin_t*>(dlsym(image_, LEMONADE_ENTRY_SYMBOL));
  if (plugin == nullptr) throw std::runtime_error(path + " has no entry symbol");
  table_ =
      static_cast<const lemonade_metrics_sink_t*>(plugin->get_interface(LEMONADE_STR(LEMONADE_METRICS_SINK_INTERFACE)));
  if (table_ == nullptr) throw std::runtime_error(path + " is no metrics sink");

  std::vector<lemonade_option_value_t> values;
  std::deque<std::string> texts;
  for (std::uint32_t i = 0; i < plugin->option_count; ++i) {
    const auto& row = plugin->options[i];
    const auto given = options.find(text(row.key));
    const auto& value = texts.emplace_back(given == options.end() ? text(row.default_value) : given->second);
    const bool number = row.type == LEMONADE_OPTION_INTEGER || row.type == LEMONADE_OPTION_DURATION;
    values.push_back({number ? integerOf(value, row.type) : 0,
                      row.type == LEMONADE_OPTION_NUMBER ? std::stod(value) : 0, str(value)});
  }
  const lemonade_options_t tree{sizeof(tree), plugin->option_count, values.data()};
  host_.struct_size = sizeof(host_);
  host_.context = this;
  host_.now_ns = [](void*) noexcept { return monotonicNs(); };
  host_.log = [](void* context, std::uint32_t, lemonade_str_t message) noexcept {
    static_cast<SinkFixture*>(context)->log_.push_back(text(message));
  };
  host_.register_metric = [](void* context, std::uint32_t, lemonade_str_t name, lemonade_str_t,
                             lemonade_metric_cell_t** cell) noexcept {
    *cell = &static_cast<SinkFixture*>(context)->cells_[text(name)];
    return LEMONADE_OK;
  };
  lemonade_error_t error{sizeof(error), 0, {}, {}};
  if (table_->create(&host_, &tree, &self_, &error) != LEMONADE_OK)
    throw std::runtime_error(std::string(error.key) + ": " + error.message);
}

SinkFixture::~SinkFixture() {
  if (table_ != nullptr) table_->destroy(self_);
  // The image stays, as with a host, where a sink does not say that it may go.
}

std::string SinkFixture::flush(SnapshotText& snapshot, std::chrono::milliseconds time) {
  std::vector<lemonade_family_t> families;
  for (auto& family : snapshot.families_) {
    family.raw.clear();
    for (auto& one : family.series) {
      one.raw_labels.clear();
      auto id = std::hash<std::string>()(family.name);
      for (const auto& [name, value] : one.labels) {
        one.raw_labels.push_back({str(name), str(value)});
        id = id * 31 + std::hash<std::string>()(name + "=" + value);
      }
      auto& raw = family.raw.emplace_back();
      raw.labels = one.raw_labels.data();
      raw.label_count = static_cast<std::uint32_t>(one.raw_labels.size());
      raw.buckets = one.buckets.empty() ? nullptr : one.buckets.data();
      raw.bucket_count = static_cast<std::uint32_t>(one.buckets.size());
      raw.id = id;
      raw.value = one.value;
      raw.count = one.count;
    }
    families.push_back({str(family.name), LEMONADE_STR("Help."), family.type,
                        static_cast<std::uint32_t>(family.raw.size()), family.raw.data(), sizeof(lemonade_series_t),
                        0});
  }
  lemonade_snapshot_t raw{};
  raw.struct_size = sizeof(raw);
  raw.family_count = static_cast<std::uint32_t>(families.size());
  raw.families = families.data();
  raw.family_stride = sizeof(lemonade_family_t);
  raw.unix_ns = snapshot.unix_ns_;
  raw.uptime_ns = snapshot.uptime_ns_;
  lemonade_error_t error{sizeof(error), 0, {}, {}};
  const auto deadline = monotonicNs() + static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
  return table_->flush(self_, &raw, deadline, &error) == LEMONADE_OK ? "" : error.message;
}

std::string SinkFixture::sessions(const std::vector<lemonade_session_record_t>& records,
                                  std::chrono::milliseconds time) {
  lemonade_session_batch_t batch{};
  batch.struct_size = sizeof(batch);
  batch.record_count = static_cast<std::uint32_t>(records.size());
  batch.records = records.empty() ? nullptr : records.data();
  batch.record_stride = sizeof(lemonade_session_record_t);
  lemonade_error_t error{sizeof(error), 0, {}, {}};
  const auto deadline = monotonicNs() + static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
  return table_->session_records(self_, &batch, deadline, &error) == LEMONADE_OK ? "" : error.message;
}

std::string SinkFixture::reopen() {
  lemonade_error_t error{sizeof(error), 0, {}, {}};
  return table_->reopen(self_, &error) == LEMONADE_OK ? "" : error.message;
}

std::int64_t SinkFixture::metric(const std::string& name) const {
  const auto found = cells_.find(name);
  return found == cells_.end() ? 0 : found->second.value;
}

}  // namespace lemonade::test
