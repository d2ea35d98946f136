// SPDX-License-Identifier: MIT
#include "metrics/session_batch.h"

#include <algorithm>

namespace lemonade::metrics {

namespace {

constexpr std::size_t kTextPiece = std::size_t{16} << 10;

}  // namespace

lemonade_str_t SessionBatch::keep(std::string_view text) {
  if (text.empty()) return {nullptr, 0};
  if (texts_.empty() || texts_.back()->capacity() - texts_.back()->size() < text.size()) {
    texts_.push_back(std::make_unique<std::string>());
    texts_.back()->reserve(std::max(kTextPiece, text.size()));
  }
  std::string& piece = *texts_.back();
  const std::size_t at = piece.size();
  piece += text;
  return {piece.data() + at, text.size()};
}

void SessionBatch::add(const SessionRecord& record, std::uint64_t unix_minus_monotonic_ns) {
  const auto& numbers = record.numbers;
  lemonade_session_record_t raw{};
  raw.listener = keep(record.listener);
  raw.pool = keep(record.pool);
  raw.backend = keep(record.backend);
  raw.backend_name = keep(record.backend_name);
  raw.backend_address = keep(record.backend_address);
  raw.client = keep(record.client->text());
  raw.peer = record.peer != nullptr ? keep(record.peer->text()) : raw.client;
  raw.backend_identity = numbers.backend_identity;
  raw.reason = numbers.reason;
  raw.flags = numbers.flags;
  raw.attempts = numbers.attempts;
  raw.started_unix_ns = numbers.started_ns + unix_minus_monotonic_ns;
  raw.duration_ns = numbers.duration_ns;
  raw.queue_ns = numbers.queue_ns;
  raw.connect_ns = numbers.connect_ns;
  raw.first_byte_ns = numbers.first_byte_ns;
  raw.slowest_exchange_ns = numbers.slowest_exchange_ns;
  raw.exchanges = numbers.exchanges;
  raw.bytes_in = numbers.bytes_in;
  raw.bytes_out = numbers.bytes_out;
  raw.bytes_out_acknowledged = numbers.bytes_out_acknowledged;
  raw.bytes_in_acknowledged = numbers.bytes_in_acknowledged;
  records_.push_back(raw);
}

lemonade_session_batch_t SessionBatch::raw(std::uint64_t dropped) const noexcept {
  lemonade_session_batch_t raw{};
  raw.struct_size = sizeof(raw);
  raw.record_count = static_cast<std::uint32_t>(records_.size());
  raw.records = records_.empty() ? nullptr : records_.data();
  raw.record_stride = sizeof(lemonade_session_record_t);
  raw.dropped = dropped;
  return raw;
}

}  // namespace lemonade::metrics
