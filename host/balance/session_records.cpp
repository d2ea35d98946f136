// SPDX-License-Identifier: MIT
//
// The ring of bytes. A record lies there in one piece: sizes, numbers, then the addresses and the texts. Where it would
// not fit before the end of the ring, the rest of the ring is skipped.
#include "balance/session_records.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

namespace lemonade {

namespace {

constexpr std::size_t kTexts = 5;
constexpr std::size_t kLongestText = std::numeric_limits<std::uint16_t>::max();

/// What a record in the ring begins with.
struct StoredRecord {
  std::uint32_t size;  // with the texts, a multiple of 8; 0: nothing more is here up to the end of the ring
  std::uint16_t client_size;
  std::uint16_t peer_size;  // 0: as client
  std::uint16_t text_sizes[kTexts];
  std::uint16_t reserved[3];
  SessionRecord::Numbers numbers;
};
static_assert(sizeof(StoredRecord) % 8 == 0);

constexpr std::size_t roundedUp(std::size_t size) noexcept { return (size + 7) / 8 * 8; }

}  // namespace

void SessionRecordLane::put(const SessionRecord& record) noexcept {
  if (ring_ == nullptr) ring_.reset(new (std::nothrow) std::byte[kBytes]);
  const std::string_view texts[kTexts] = {record.listener, record.pool, record.backend, record.backend_name,
                                          record.backend_address};
  StoredRecord stored{};
  stored.numbers = record.numbers;
  stored.client_size = static_cast<std::uint16_t>(record.client->size());
  stored.peer_size = static_cast<std::uint16_t>(record.peer != nullptr ? record.peer->size() : 0);
  std::size_t size = sizeof(stored) + stored.client_size + stored.peer_size;
  for (std::size_t i = 0; i < kTexts; ++i) {
    stored.text_sizes[i] = static_cast<std::uint16_t>(std::min(texts[i].size(), kLongestText));
    size += stored.text_sizes[i];
  }
  size = roundedUp(size);
  stored.size = static_cast<std::uint32_t>(size);

  const std::uint64_t head = head_.load(std::memory_order_relaxed);
  const std::size_t at = head % kBytes;
  const std::size_t skipped = at + size > kBytes ? kBytes - at : 0;
  const std::uint64_t used = head - tail_.load(std::memory_order_acquire);
  if (ring_ == nullptr || used + skipped + size > kBytes) {
    dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  if (skipped != 0) std::memset(ring_.get() + at, 0, sizeof(stored.size));
  std::byte* to = ring_.get() + (at + skipped) % kBytes;
  const auto append = [&to](const void* bytes, std::size_t count) {
    if (count != 0) std::memcpy(to, bytes, count);
    to += count;
  };
  append(&stored, sizeof(stored));
  append(record.client->get(), stored.client_size);
  if (record.peer != nullptr) append(record.peer->get(), stored.peer_size);
  for (std::size_t i = 0; i < kTexts; ++i) append(texts[i].data(), stored.text_sizes[i]);
  head_.store(head + skipped + size, std::memory_order_release);
}

bool SessionRecordLane::read(Reading& reading) noexcept {
  const std::uint64_t head = head_.load(std::memory_order_acquire);
  std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  if (head == tail) return false;
  StoredRecord stored;
  std::memcpy(&stored.size, ring_.get() + tail % kBytes, sizeof(stored.size));
  if (stored.size == 0) tail += kBytes - tail % kBytes;
  const std::byte* from = ring_.get() + tail % kBytes;
  std::memcpy(&stored, from, sizeof(stored));
  from += sizeof(stored);

  const auto address = [&from](std::uint16_t size) {
    sockaddr_storage storage{};
    std::memcpy(&storage, from, size);
    from += size;
    return Address(reinterpret_cast<const sockaddr*>(&storage), size);
  };
  SessionRecord& record = reading.record;
  record.numbers = stored.numbers;
  reading.client = address(stored.client_size);
  record.client = &reading.client;
  record.peer = nullptr;
  if (stored.peer_size != 0) {
    reading.peer = address(stored.peer_size);
    record.peer = &reading.peer;
  }
  std::string_view* const texts[kTexts] = {&record.listener, &record.pool, &record.backend, &record.backend_name,
                                           &record.backend_address};
  for (std::size_t i = 0; i < kTexts; ++i) {
    *texts[i] = {reinterpret_cast<const char*>(from), stored.text_sizes[i]};
    from += stored.text_sizes[i];
  }
  reading.end = tail + stored.size;
  return true;
}

}  // namespace lemonade
