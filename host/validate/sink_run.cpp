// SPDX-License-Identifier: MIT
#include "validate/sink_run.h"

#include "base/clock.h"
#include "validate/host_age.h"

#include <cstring>
#include <limits>

namespace lemonade::validate {

namespace {

constexpr std::uint32_t kFamilies = 3;
constexpr const char* kNames[kFamilies] = {"lemonade_test_total", "lemonade_test_now", "lemonade_test_seconds"};

template <class T>
T& rowAt(GuardedBytes& bytes, std::uint32_t index, std::size_t stride) {
  return *reinterpret_cast<T*>(bytes.data() + index * stride);
}

}  // namespace

Snapshot::Snapshot(std::uint32_t series, std::vector<std::string> labels, std::vector<double> values, std::size_t extra)
    : labels_(std::move(labels)),
      values_(std::move(values)),
      buckets_{{0.1, 1}, {1, 2}, {std::numeric_limits<double>::infinity(), 3}},
      fine_buckets_{{0, 0.1, 1}, {0.5, 0.6, 1}, {100, std::numeric_limits<double>::infinity(), 1}},
      families_(kFamilies * (sizeof(lemonade_family_t) + extra)),
      snapshot_(extra) {
  const std::size_t known = sizeHere<lemonade_series_t>();
  const auto series_stride = known + extra;
  const auto family_stride = sizeof(lemonade_family_t) + extra;
  std::memset(families_.data(), 0xa5, families_.size());
  for (std::uint32_t f = 0; f < kFamilies; ++f) {
    auto& rows = series_.emplace_back(series * series_stride);
    std::memset(rows.data(), 0xa5, rows.size());
    for (std::uint32_t i = 0; i < series; ++i) {
      const auto one = seriesAt(i, f == 2);
      std::memcpy(rows.data() + i * series_stride, &one, known);
    }
    rowAt<lemonade_family_t>(families_, f, family_stride) = {str(kNames[f]),
                                                             str("A number for a check."),
                                                             f + 1,
                                                             series,
                                                             reinterpret_cast<const lemonade_series_t*>(rows.data()),
                                                             static_cast<std::uint32_t>(series_stride),
                                                             0};
  }
  snapshot_->family_count = kFamilies;
  snapshot_->families = reinterpret_cast<const lemonade_family_t*>(families_.data());
  snapshot_->family_stride = static_cast<std::uint32_t>(family_stride);
  snapshot_->unix_ns = unixNs();
  snapshot_->uptime_ns = 1'000'000'000;
}

lemonade_series_t Snapshot::seriesAt(std::uint32_t index, bool histogram) {
  auto& labels = label_rows_.emplace_back();
  if (!labels_.empty()) labels.push_back({str("backend"), str(labels_[index % labels_.size()])});
  const double value = values_.empty() ? index : values_[index % values_.size()];
  return {labels.data(),
          histogram ? buckets_.data() : nullptr,
          static_cast<std::uint32_t>(labels.size()),
          histogram ? static_cast<std::uint32_t>(buckets_.size()) : 0,
          index + 1,
          value,
          histogram ? 3U : 0U,
          histogram ? fine_buckets_.data() : nullptr,
          histogram ? static_cast<std::uint32_t>(fine_buckets_.size()) : 0,
          0};
}

Records::Records(std::uint32_t count, std::vector<std::string> texts, std::uint64_t number, std::size_t extra)
    : texts_(std::move(texts)), rows_(count * (sizeof(lemonade_session_record_t) + extra)), batch_(extra) {
  const auto stride = sizeof(lemonade_session_record_t) + extra;
  std::memset(rows_.data(), 0xa5, rows_.size());
  for (std::uint32_t i = 0; i < count; ++i) rowAt<lemonade_session_record_t>(rows_, i, stride) = recordAt(i, number);
  batch_->record_count = count;
  batch_->records = count == 0 ? nullptr : reinterpret_cast<const lemonade_session_record_t*>(rows_.data());
  batch_->record_stride = static_cast<std::uint32_t>(stride);
  batch_->dropped = number;
}

lemonade_session_record_t Records::recordAt(std::uint32_t index, std::uint64_t number) const {
  lemonade_session_record_t record{};
  std::size_t next = index;
  for (auto* text : {&record.listener, &record.pool, &record.backend, &record.backend_name, &record.backend_address,
                     &record.client, &record.peer})
    if (!texts_.empty()) *text = str(texts_[next++ % texts_.size()]);
  record.backend_identity = record.started_unix_ns = record.duration_ns = record.queue_ns = number;
  record.connect_ns = record.first_byte_ns = record.slowest_exchange_ns = record.exchanges = number;
  record.bytes_in = record.bytes_out = record.bytes_out_acknowledged = record.bytes_in_acknowledged = number;
  record.reason = index % (LEMONADE_END_MAX_AGE + 2);
  record.flags = index % 2 == 0 ? 0 : ~0U;
  record.attempts = index;
  return record;
}

lemonade_writer_t Reader::writer() noexcept { return {sizeof(lemonade_writer_t), 0, this, write}; }

lemonade_status_t Reader::write(void* context, const void* data, std::uint64_t size) noexcept {
  auto& self = *static_cast<Reader*>(context);
  if (self.refused_ > 0 || size > self.left_) {
    ++self.refused_;
    return LEMONADE_ERROR_LIMIT;
  }
  self.left_ -= size;
  try {
    self.text_.append(static_cast<const char*>(data), size);
  } catch (...) {
    return LEMONADE_ERROR_NO_MEMORY;
  }
  return LEMONADE_OK;
}

}  // namespace lemonade::validate
